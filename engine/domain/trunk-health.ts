import type { BreakerState } from './breaker.ts';

/** How a trunk does, for operations. */
export interface TrunkHealth {
  /** A call was sent `delayMs` ago and has its first answer now: 180, 183 or 200. */
  progressed(delayMs: number): void;
  /** A call is over, and said something of the trunk. */
  ended(result: { failed: boolean }): void;
  /** Share of the last calls that the trunk failed, 0 to 1; null before the first. */
  readonly failureShare: number | null;
  /** Median from INVITE to the first ringing or answer, over the last calls; null before the first. */
  readonly postDialDelayMs: number | null;
}

/** What the ledger shows of a trunk's health. */
export interface TrunkHealthReport {
  breaker: BreakerState;
  /** Calls per second that it is held to; less than its cap after a rate-limit answer. */
  rate: number;
  channels: number;
  failureShare: number | null;
  postDialDelayMs: number | null;
  nodes: Record<string, { ready: boolean; reachable: boolean | null; registration: string | null }>;
}

const LAST = 100;

/** Looks back over the last 100 calls. */
export function createTrunkHealth(): TrunkHealth {
  const delays: number[] = [];
  const failures: boolean[] = [];
  const keep = <T>(list: T[], value: T): void => {
    list.push(value);
    if (list.length > LAST) list.shift();
  };
  return {
    progressed: (delayMs) => keep(delays, Math.max(0, Math.round(delayMs))),
    ended: ({ failed }) => keep(failures, failed),
    get failureShare() {
      return failures.length === 0 ? null : failures.filter(Boolean).length / failures.length;
    },
    get postDialDelayMs() {
      return delays.toSorted((a, b) => a - b)[Math.floor(delays.length / 2)] ?? null;
    },
  };
}
