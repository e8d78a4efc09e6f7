import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between two looks at a process that is not ready yet. */
const pollMs = 25;

export interface User {
  uid: number;
  gid: number;
  /** May read files that lie where this user may not look, such as under root's home. */
  needsSearch?: boolean;
}

export interface ProcessOptions {
  /** For messages: "asterisk". */
  name: string;
  command: string;
  args: readonly string[];
  /** Output is appended here; the directory is created. */
  logFile: string;
  cwd?: string;
  /** The whole environment; this process's own when left out. */
  env?: NodeJS.ProcessEnv;
  /** Runs as this user; only root can ask for it. */
  user?: User;
  /** Throws standard output away: for programs that draw screens. Errors are still logged. */
  dropOutput?: boolean;
}

export interface RunningProcess {
  readonly pid: number;
  readonly logFile: string;
  isRunning(): boolean;
  /** Resolves when the process has ended, for whatever reason; never rejects. */
  readonly ended: Promise<void>;
  /**
   * Waits until `check` returns true. A check that throws counts as "not yet".
   *
   * @throws when the process ends first or `deadlineMs` passes (the process is killed then); the
   *   message holds the last lines of its log.
   */
  ready(check: () => Promise<boolean>, deadlineMs: number): Promise<void>;
  /** SIGTERM (or `how`), and SIGKILL when it still runs after `graceMs`. Resolves when it has ended. */
  stop(graceMs?: number, how?: NodeJS.Signals): Promise<void>;
  /** SIGKILL, as in a crash. Resolves when it has ended. */
  kill(): Promise<void>;
}

/**
 * Starts a program in a process group of its own, so that Ctrl-C reaches only this process, which
 * then stops its children in order. When this process dies, however that happens, the kernel kills
 * the child (`setpriv --pdeathsig`): nothing is left running. The kernel watches the thread that
 * started the child, so call this from the main thread.
 *
 * @throws when the program cannot be started. One that starts and fails shows in `ready`.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  await mkdir(dirname(options.logFile), { recursive: true });
  const log = await open(options.logFile, 'a');
  try {
    const child = spawn('setpriv', setprivArguments(options), {
      detached: true,
      stdio: ['ignore', options.dropOutput ? 'ignore' : log.fd, log.fd],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(
          new Error(`could not start ${options.name}: is setpriv (package util-linux) installed?`, { cause }),
        ),
      );
    });
    return handle(child, options);
  } finally {
    await log.close();
  }
}

/** setpriv replaces itself by the program, so the pid is the program's. */
function setprivArguments({ command, args, user }: ProcessOptions): string[] {
  const as = user === undefined ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  const search = user?.needsSearch ? ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'] : [];
  return ['--pdeathsig', 'KILL', ...as, ...search, '--', command, ...args];
}

function handle(child: ChildProcess, { name, logFile }: ProcessOptions): RunningProcess {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} was started but has no pid`);
  let how: string | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      resolve();
    });
  });
  const isRunning = () => how === undefined;
  // A pid is never signalled after its end was seen: it may belong to another process by then.
  const signal = (which: NodeJS.Signals) => isRunning() && child.kill(which);

  async function kill() {
    signal('SIGKILL');
    await ended;
  }

  return {
    pid,
    logFile,
    isRunning,
    ended,
    kill,
    async ready(check, deadlineMs) {
      const deadline = performance.now() + deadlineMs;
      while (!(await check().catch(() => false))) {
        if (!isRunning())
          throw new Error(`${name} ended ${how} before it was ready${await lastLines(logFile)}`);
        if (performance.now() > deadline) {
          await kill();
          throw new Error(
            `${name} was not ready within ${deadlineMs / 1000} s and was stopped${await lastLines(logFile)}`,
          );
        }
        await Promise.race([sleep(pollMs), ended]);
      }
    },
    async stop(graceMs = 5000, how: NodeJS.Signals = 'SIGTERM') {
      signal(how);
      const timer = setTimeout(() => signal('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** @returns the end of a log for an error message: up to 15 lines of its last 4 kB. */
async function lastLines(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, 4096));
    await file.read(bytes, 0, bytes.length, size - bytes.length);
    const text = bytes.toString('utf8').trim();
    if (text === '') return `; its log ${path} is empty`;
    return `. The end of its log ${path}:\n${text.split('\n').slice(-15).join('\n')}`;
  } finally {
    await file.close();
  }
}
