import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type RunningProcess, startProcess } from '../../local/processes.ts';

const root = resolve(import.meta.dirname, '../..');
const READY_MS = 60_000;

export interface EngineSpec {
  name: string;
  /** `api,jobs,dialer` or a part of it. */
  roles: string;
}

/** One process of the engine, which can be killed and started again. */
export interface ChaosEngine {
  readonly name: string;
  readonly roles: string;
  readonly pid: number;
  /** True while nobody killed it: then its end is a fault of its own. */
  readonly wanted: boolean;
  readonly logFile: string;
  /** SIGKILL. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface EngineOptions {
  spec: EngineSpec;
  env: Record<string, string>;
  port: number;
  logFile: string;
  /** Its clock can be stepped by the ms that stand in this file. */
  clockFile: string;
  /** Told of an end that nobody asked for. */
  onDeath(name: string): void;
}

/** Starts an engine's process; resolves when it says that it runs, and places calls if it serves the API. */
export async function startChaosEngine(options: EngineOptions): Promise<ChaosEngine> {
  const { spec, logFile, port } = options;
  let child: RunningProcess | undefined;
  let wanted = false;

  const start = async (): Promise<void> => {
    const from = await stat(logFile).then(
      ({ size }) => size,
      () => 0,
    );
    const started = await startProcess({
      name: spec.name,
      command: process.execPath,
      args: [join(root, 'engine/main.ts')],
      logFile,
      cwd: root,
      env: {
        PATH: process.env.PATH,
        ...options.env,
        ROLES: spec.roles,
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: String(port),
        NODE_OPTIONS: `--import=${join(import.meta.dirname, 'clock-shift.ts')}`,
        CHAOS_CLOCK_FILE: options.clockFile,
      },
    });
    child = started;
    wanted = true;
    void started.ended.then(() => {
      if (wanted && child === started) options.onDeath(spec.name);
    });
    await started.ready(
      async () => (await readFile(logFile)).subarray(from).includes('Rollcall is running'),
      READY_MS,
    );
  };
  await start();
  return {
    ...spec,
    logFile,
    get pid() {
      return child?.pid ?? 0;
    },
    get wanted() {
      return wanted;
    },
    async kill() {
      wanted = false;
      await child?.kill();
    },
    start,
    async stop() {
      wanted = false;
      await child?.stop(20_000);
    },
  };
}

/** The API and the jobs in a process of their own, beside so many dialers. */
export const enginesOf = (dialers: number): EngineSpec[] => [
  { name: 'office', roles: 'api,jobs' },
  ...Array.from({ length: dialers }, (_, index) => ({ name: `dialer-${index + 1}`, roles: 'dialer' })),
];
