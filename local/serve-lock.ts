import { readFileSync, rmSync } from 'node:fs';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Takes the lock `file` for this process until it exits. A lock whose process is gone is taken over.
 *
 * Throws an Error that names the pid when another living process has it.
 */
export async function takeServeLock(file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const own = `${process.pid} ${startOf(process.pid)}\n`;
  // Written whole before it gets its name, so that nobody reads half of it.
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, own);
  try {
    while (!(await linked(draft, file))) {
      const pid = await serveLockHolder(file);
      if (pid !== undefined) throw new Error(`make serve already runs here (pid ${pid})`);
      await rm(file, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
  process.once('exit', () => rmSync(file, { force: true }));
}

/** The pid of the living process that holds the lock; undefined if there is none. */
export async function serveLockHolder(file: string): Promise<number | undefined> {
  const [pid = '', start = ''] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
  return start !== '' && startOf(Number(pid)) === start ? Number(pid) : undefined;
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * When a process started, in clock ticks since the machine did; '' if it does not live. With the pid it names a
 * process for good: a pid alone is given again, for one after a restart of the machine.
 */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): field 22. The second field, the program's name in brackets, may hold spaces.
    const [state = 'X', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? '' : (rest[18] ?? '');
  } catch {
    return '';
  }
}
