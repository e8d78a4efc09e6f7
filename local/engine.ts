import { join, resolve } from 'node:path';
import { type RunningProcess, startProcess } from './processes.ts';

const root = resolve(import.meta.dirname, '..');

export interface EngineOptions {
  /** Variables of the engine, as .env.example explains them. */
  env: Record<string, string>;
  port: number;
  logFile: string;
}

export interface LocalEngine {
  readonly url: string;
  readonly process: RunningProcess;
  /** SIGTERM: live calls finish first. */
  stop(): Promise<void>;
  /** SIGKILL, as in a crash. */
  kill(): Promise<void>;
}

/**
 * Starts `engine/main.ts` in a process of its own and waits until it is ready to place calls.
 *
 * Throws an Error with the end of its log when it is not ready within 30 s.
 */
export async function startEngine({ env, port, logFile }: EngineOptions): Promise<LocalEngine> {
  const url = `http://127.0.0.1:${port}`;
  const child = await startProcess({
    name: 'the engine',
    command: process.execPath,
    args: [join(root, 'engine/main.ts')],
    logFile,
    cwd: root,
    // Only what is handed in: a variable of this shell must not change a demo or a test.
    env: { PATH: process.env.PATH, ...env, HTTP_HOST: '127.0.0.1', HTTP_PORT: String(port) },
  });
  await child.ready(async () => {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  }, 30_000);
  // Longer than the engine's own grace for live calls.
  return { url, process: child, stop: () => child.stop(90_000), kill: () => child.kill() };
}
