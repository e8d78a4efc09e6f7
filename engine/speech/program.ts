import { execFile } from 'node:child_process';
import { RollcallError } from '../errors.ts';

/** A synthesiser needs well under a second for a message; this is for one that hangs. */
export const PROGRAM_TIMEOUT_MS = 30_000;

/** Six minutes of 16-bit mono at 22,050 Hz, more than the longest message, are 16 MB. */
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

export interface ProgramRun {
  /** Found on PATH, or an absolute path. */
  program: string;
  /** Constants and paths of our own only; what a user wrote goes into `input`. */
  args: readonly string[];
  /** Written to the program's standard input, which is then closed. */
  input: string;
  signal: AbortSignal;
  timeoutMs?: number;
}

/**
 * Runs a speech program without a shell and gives back what it printed. Throws SPEECH_FAILED when it is not
 * installed, fails, prints more than 32 MB or takes longer than `timeoutMs`; then it has been killed.
 */
export function runProgram({
  program,
  args,
  input,
  signal,
  timeoutMs = PROGRAM_TIMEOUT_MS,
}: ProgramRun): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = {
      encoding: 'buffer' as const,
      // Nothing of the engine's environment (database password, API keys) is of use to a synthesiser.
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
      timeout: timeoutMs,
      killSignal: 'SIGKILL' as const,
      maxBuffer: MAX_OUTPUT_BYTES,
      signal,
    };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (signal.aborted) return reject(signal.reason);
      const details = { program, stderr: stderr.toString('utf8', 0, 500).trim() };
      reject(
        new RollcallError('SPEECH_FAILED', reasonOf(program, timeoutMs, error), { cause: error, details }),
      );
    });
    // A program that ends before it has read everything breaks the pipe; its exit tells the story.
    child.stdin?.on('error', () => {}).end(input);
  });
}

function reasonOf(
  program: string,
  timeoutMs: number,
  error: Error & { code?: unknown; killed?: boolean },
): string {
  if (error.code === 'ENOENT') return `${program} is not installed; install ${program}: make setup`;
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
    return `${program} printed more than a message can be`;
  if (error.killed === true) return `${program} took longer than ${timeoutMs} ms`;
  return `${program} failed`;
}
