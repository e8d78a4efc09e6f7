import { RollcallError } from '../errors.ts';

/**
 * The oldest Asterisk that may be used. 22.7 brought `tech_cause`, the SIP code of an unanswered call; up to
 * 22.10.0 a read-only ARI user could write over the WebSocket.
 */
const OLDEST = [22, 10, 1] as const;

/** Throws ASTERISK_TOO_OLD for a version below 22.10.1, and for one that cannot be read. */
export function requireVersion(version: string): void {
  const match = /^(?:certified\/)?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  const parts = match?.slice(1).map((part) => Number(part ?? 0)) ?? [];
  for (const [index, oldest] of OLDEST.entries()) {
    const part = parts[index] ?? -1;
    if (part > oldest) return;
    if (part < oldest) {
      throw new RollcallError(
        'ASTERISK_TOO_OLD',
        `Asterisk ${version} is older than ${OLDEST.join('.')}, the first with the SIP code of unanswered ` +
          'calls and with the WebSocket write fix: install Asterisk 22.10.1 or newer (Debian forky, or docker/)',
        { details: { version } },
      );
    }
  }
}
