/**
 * Ends a command that failed: its sentence on standard error, exit code 1. Only a mistake of the program itself
 * shows its stack.
 */
export function reportFailure(error: unknown): void {
  const ours = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const text = error instanceof Error ? (ours ? error.stack : error.message) : String(error);
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${text}\n`);
  process.exitCode = 1;
}
