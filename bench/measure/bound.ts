/**
 * The shortest time in which a broadcast can be done, from the caps and from what the carrier saw. The best
 * that a dialer can be is 1 = bound / measured.
 */

/** One attempt as the carrier saw it, in ms. */
export interface Held {
  /** Who was called: attempts to the same number are one call and its retries. */
  number: string;
  inviteAt: number;
  /** When the channel was free again. */
  endedAt: number;
}

export interface Caps {
  maxChannels: number;
  callsPerSecond: number;
}

/**
 * From the first INVITE to the last of `calls`, if no sliding second sees more than ceil(rate) of them: the first
 * `burst` may leave at once, and each further `burst` of them a window of burst / rate later. In ms.
 */
export function rateBoundMs(calls: number, callsPerSecond: number): number {
  const burst = Math.max(1, Math.ceil(callsPerSecond));
  return (Math.max(0, calls - burst) / callsPerSecond) * 1000;
}

/** From the first INVITE to the last end: every channel busy all the time. In ms. */
export function channelBoundMs(attempts: readonly Held[], maxChannels: number): number {
  return attempts.reduce((total, { inviteAt, endedAt }) => total + endedAt - inviteAt, 0) / maxChannels;
}

interface Waiting {
  due: number;
  holds: readonly number[];
}

/**
 * From the first INVITE to the last end, by a dialer without any delay that places the same calls in the same
 * order, with the holds that were seen and each retry `retryDelayMs` after the end before it, due retries first.
 * It does not know the holds beforehand, so this is what perfection without foresight needs. In ms.
 */
export function idealMs(attempts: readonly Held[], caps: Caps, retryDelayMs: number): number {
  const holds = new Map<string, number[]>();
  for (const { number, inviteAt, endedAt } of [...attempts].sort((a, b) => a.inviteAt - b.inviteAt))
    holds.set(number, [...(holds.get(number) ?? []), endedAt - inviteAt]);
  const fresh: Waiting[] = [...holds.values()].map((list) => ({ due: 0, holds: list }));
  const retries: Waiting[] = [];
  const ends: number[] = [];
  const sent: number[] = [];
  const burst = Math.max(1, Math.ceil(caps.callsPerSecond));
  const windowMs = (burst / caps.callsPerSecond) * 1000;
  let now = 0;
  let last = 0;
  let next = 0;
  while (next < fresh.length || retries.length > 0) {
    while ((ends[0] ?? Number.POSITIVE_INFINITY) <= now) ends.shift();
    const opens = sent.at(-burst);
    const permitAt = opens === undefined ? now : opens + windowMs;
    const channelAt = ends.length < caps.maxChannels ? now : (ends[0] ?? now);
    const workAt = next < fresh.length ? now : (retries[0]?.due ?? now);
    const at = Math.max(now, permitAt, channelAt, workAt);
    if (at > now) {
      now = at;
      continue;
    }
    const call = (retries[0]?.due ?? Number.POSITIVE_INFINITY) <= now ? retries.shift() : fresh[next++];
    const [hold = 0, ...rest] = call?.holds ?? [];
    sent.push(now);
    insert(ends, now + hold, (end) => end);
    last = Math.max(last, now + hold);
    if (rest.length > 0) insert(retries, { due: now + hold + retryDelayMs, holds: rest }, ({ due }) => due);
  }
  return last;
}

/** Puts an item where it belongs in a list that is sorted by `key`. */
function insert<T>(list: T[], item: T, key: (item: T) => number): void {
  const at = list.findLastIndex((other) => key(other) <= key(item));
  list.splice(at + 1, 0, item);
}
