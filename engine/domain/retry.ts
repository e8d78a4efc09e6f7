import type { Policy } from './policy.ts';
import type { Outcome } from './terms.ts';

/** What an attempt counts as in its call's history. */
export type Counted = 'try' | 'interruption' | 'trunk_failure' | 'nothing';

/** A call's history before this attempt. */
export interface History {
  tries: number;
  interruptions: number;
  trunkFailures: number;
}

export interface Verdict {
  counted: Counted;
  /** Wait before the next attempt, in ms; null: the outcome is final. */
  retryInMs: number | null;
  /** This trunk failed, not the parent: another trunk, if there is one, calls at once. */
  reroute: boolean;
}

/** One more try after these, not the full number. */
const ONE_MORE_TRY = 2;
/** Waits after trunk failures grow by this factor, so a dead trunk is not hammered. */
const TRUNK_BACK_OFF = 2;
/** And are not longer than this, so that calls go out soon after the carrier is back. */
const LONGEST_TRUNK_WAIT_MS = 5 * 60_000;

/**
 * What follows an attempt. Source: the specification's table of results (domain.md).
 *
 * `heardShare` is how much of the message was played, 0 to 1.
 */
export function decideRetry(outcome: Outcome, heardShare: number, history: History, policy: Policy): Verdict {
  const tries = history.tries + 1;
  const again = (limit: number): Verdict => ({
    counted: 'try',
    retryInMs: tries < limit ? policy.retryDelaySeconds * 1000 : null,
    reroute: false,
  });
  switch (outcome) {
    case 'busy':
    case 'no_answer':
      return again(policy.maxTries);
    case 'declined':
    case 'not_heard':
      return again(Math.min(ONE_MORE_TRY, policy.maxTries));
    case 'partial':
      return again(heardShare < 1 / 3 ? Math.min(ONE_MORE_TRY, policy.maxTries) : 1);
    case 'interrupted':
    case 'failed':
      // Once, whatever the reason: a phone that rings again and again for our faults is our worst fault.
      return {
        counted: 'interruption',
        retryInMs: history.interruptions === 0 ? 0 : null,
        reroute: false,
      };
    case 'trunk_failure':
    case 'rate_limited':
    case 'trunk_refused': {
      const failures = history.trunkFailures + 1;
      const wait = Math.min(
        LONGEST_TRUNK_WAIT_MS,
        policy.trunkRetrySeconds * 1000 * TRUNK_BACK_OFF ** history.trunkFailures,
      );
      return {
        counted: 'trunk_failure',
        retryInMs: failures < policy.maxTrunkFailures ? wait : null,
        reroute: true,
      };
    }
    case 'barred':
      // Nothing was sent. Where no other trunk may dial it, it stays so.
      return { counted: 'nothing', retryInMs: null, reroute: true };
    default:
      return { counted: 'try', retryInMs: null, reroute: false };
  }
}
