import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { User } from './processes.ts';

/**
 * Finds the system user `name` for a server that must not run as root, or returns undefined when we are not
 * root ourselves. `folders` are what the server must be able to reach.
 *
 * Throws an Error when the user is missing: `make setup` creates it.
 */
export function serviceUser(name: string, folders: readonly string[]): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = spawnSync('getent', ['passwd', name], { encoding: 'utf8' });
  const [, , uid, gid] = found.stdout.split(':');
  if (found.status !== 0 || uid === undefined || gid === undefined) {
    throw new Error(`there is no system user "${name}" to run a server as: run make setup`);
  }
  return { uid: Number(uid), gid: Number(gid), needsSearch: !folders.every(isReachable) };
}

function isReachable(folder: string): boolean {
  for (let path = folder; ; path = dirname(path)) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && (stat.mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}
