import { readdir, readFile } from 'node:fs/promises';

/** The kernel counts CPU time in hundredths of a second for every program (USER_HZ). */
const TICKS_PER_SECOND = 100;

interface Stat {
  parent: number;
  /** User and system, in seconds: its own, and that of children that ended. */
  own: number;
  ended: number;
}

async function statOf(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name in parentheses may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined) return undefined;
  const ticks = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND;
  return { parent: Number(fields[1]), own: ticks(11), ended: ticks(13) };
}

async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    if ((await statOf(Number(name)))?.parent === pid) children.push(Number(name));
  }
  return children;
}

/** CPU time of a process and its children, those that ended included, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const pids = [pid, ...(await childrenOf(pid))];
  const stats = await Promise.all(pids.map(statOf));
  const [parent] = stats;
  return stats.reduce((total, stat) => total + (stat?.own ?? 0), parent?.ended ?? 0);
}

export interface Footprint {
  /** Memory in MB: resident for one process; for one with children shared pages count once (Pss). */
  megabytes: number;
  /** Open files and sockets. */
  files: number;
}

/** Memory and open files of a process and its children. Zeros for one that is gone. */
export async function footprint(pid: number): Promise<Footprint> {
  const children = await childrenOf(pid);
  let kilobytes = 0;
  let files = 0;
  for (const one of [pid, ...children]) {
    const [source, name] = children.length === 0 ? ['status', 'VmRSS'] : (['smaps_rollup', 'Pss'] as const);
    const text = await readFile(`/proc/${one}/${source}`, 'utf8').catch(() => '');
    kilobytes += Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
    files += (await readdir(`/proc/${one}/fd`).catch(() => [])).length;
  }
  return { megabytes: kilobytes / 1024, files };
}

/** CPU seconds of several processes between two moments. */
export async function measureCpu<Name extends string>(
  pids: Record<Name, number>,
): Promise<() => Promise<Record<Name, number>>> {
  const read = async () => {
    const names = Object.keys(pids) as Name[];
    const values = await Promise.all(names.map((name) => cpuSeconds(pids[name])));
    return Object.fromEntries(names.map((name, index) => [name, values[index]])) as Record<Name, number>;
  };
  const before = await read();
  return async () => {
    const after = await read();
    for (const name of Object.keys(after) as Name[]) after[name] -= before[name];
    return after;
  };
}
