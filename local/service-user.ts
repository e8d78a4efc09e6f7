import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Whom a server runs as when we are root; undefined: as we are. */
export type ServiceUser =
  | {
      uid: number;
      gid: number;
      /** The folders lie where this user may not look (for example under root's home). */
      needsSearch: boolean;
    }
  | undefined;

/**
 * Finds the system user `name` for a server that must not run as root, or returns undefined when we are not
 * root ourselves. `folders` are what the server must be able to reach.
 *
 * Throws an Error when the user is missing: `make setup` creates it.
 */
export function serviceUser(name: string, folders: string[]): ServiceUser {
  if (process.getuid?.() !== 0) return undefined;
  const found = spawnSync('getent', ['passwd', name], { encoding: 'utf8' });
  const [, , uid, gid] = found.stdout.split(':');
  if (found.status !== 0 || uid === undefined || gid === undefined) {
    throw new Error(`there is no system user "${name}" to run a server as: run make setup`);
  }
  return { uid: Number(uid), gid: Number(gid), needsSearch: !folders.every(isReachable) };
}

/**
 * The command line that runs `command` as `user`, and ends it when we die, whatever kills us. `setpriv` is
 * in util-linux, which every Debian has.
 */
export function asServiceUser(user: ServiceUser, command: string[]): string[] {
  const setpriv = ['setpriv', '--pdeathsig', 'TERM'];
  if (user !== undefined) {
    setpriv.push('--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups');
    // Instead of opening root's home to everyone: this one process may read through it.
    if (user.needsSearch)
      setpriv.push('--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search');
  }
  return [...setpriv, ...command];
}

function isReachable(folder: string): boolean {
  for (let path = folder; ; path = dirname(path)) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && (stat.mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}
