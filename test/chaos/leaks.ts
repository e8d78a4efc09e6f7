import { readdir, readFile, readlink } from 'node:fs/promises';
import type { Violation } from './evidence.ts';

/** What a process holds at one moment. */
export interface Footprint {
  name: string;
  /** Resident memory, MiB. */
  rssMib: number;
  fds: number;
  sockets: number;
}

/** All processes and nodes at a quiet moment. */
export interface QuietMoment {
  processes: Footprint[];
  /** Connections of the engines to PostgreSQL. */
  connections: number;
  /** Channels that each Asterisk has, by node. */
  channels: { node: string; count: number }[];
}

/** What may be added between two quiet moments, and still be no leak: caches and pools at their full size. */
export const ALLOWED = {
  /** Share and MiB on top: heaps and malloc's arenas grow to what the busiest moment needed. */
  rssFactor: 1.5,
  rssMib: 96,
  fds: 16,
  sockets: 12,
  connections: 12,
};

/** Reads /proc. Throws when the process is gone. */
export async function footprint(name: string, pid: number): Promise<Footprint> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  const fds = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(
    // One that was closed in the meantime is none.
    fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
  );
  return {
    name,
    rssMib: Math.round(kibibytes / 1024),
    fds: fds.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
  };
}

/** Channels that an Asterisk has, by ARI. */
export async function channelsOf(ariUrl: string, user: string, password: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const response = await fetch(`${ariUrl}/channels`, { headers: { authorization } });
  return ((await response.json()) as unknown[]).length;
}

/** What has grown beyond reason between two quiet moments. */
export function leaksBetween(before: QuietMoment, after: QuietMoment): Violation[] {
  const rule = 'nothing leaks';
  const found: Violation[] = [];
  for (const now of after.processes) {
    const then = before.processes.find(({ name }) => name === now.name);
    if (then === undefined) continue;
    const grew = (what: string, from: number, to: number, limit: number) => {
      if (to > limit)
        found.push({ rule, what: `${now.name}: ${what} ${from} -> ${to}, the limit is ${limit}` });
    };
    const rssLimit = Math.round(then.rssMib * ALLOWED.rssFactor + ALLOWED.rssMib);
    grew('MiB of memory', then.rssMib, now.rssMib, rssLimit);
    grew('open files', then.fds, now.fds, then.fds + ALLOWED.fds);
    grew('sockets', then.sockets, now.sockets, then.sockets + ALLOWED.sockets);
  }
  if (after.connections > before.connections + ALLOWED.connections)
    found.push({
      rule,
      what: `PostgreSQL has ${after.connections} connections, and had ${before.connections}`,
    });
  for (const { node, count } of after.channels)
    if (count > 0) found.push({ rule, what: `${node} has ${count} channels, and nobody is on the phone` });
  return found;
}
