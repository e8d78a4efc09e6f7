import type { CarrierCall } from '../../test/sim/carrier/log.ts';
import { round } from './stats.ts';

/** What the carrier says of a run. */
export interface Verdict {
  calls: number;
  /** Answered, up for as long as the message, and hung up by the caller. */
  good: number;
  /** INVITEs a second, from the first to the last. */
  rate: number;
}

/** A hold is as long as the message, less this: the packets of the last moment may be cut off by the BYE. */
const SLACK_MS = 60;

/** Counts the calls that did what was expected of them, by the carrier's own log. */
export function verdictOf(calls: readonly CarrierCall[], messageMs: number): Verdict {
  const good = calls.filter(
    ({ answeredAt, endedAt, endedBy }) =>
      answeredAt !== undefined &&
      endedAt !== undefined &&
      endedBy === 'engine' &&
      endedAt - answeredAt >= messageMs - SLACK_MS,
  ).length;
  return { calls: calls.length, good, rate: round(rateOf(calls.map(({ inviteAt }) => inviteAt))) };
}

/** Events a second between the first and the last. */
export function rateOf(times: readonly number[]): number {
  if (times.length < 2) return 0;
  const first = times.reduce((a, b) => Math.min(a, b));
  const last = times.reduce((a, b) => Math.max(a, b));
  return ((times.length - 1) / (last - first)) * 1000;
}
