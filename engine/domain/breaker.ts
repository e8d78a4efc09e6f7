/**
 * Whether a trunk may be called at all. Pure: the caller brings the time (monotonic ms).
 *
 * `closed`: calls flow. `open`: none. `half_open`: one at a time, to see whether the trunk is well again.
 */
export type BreakerState = 'closed' | 'open' | 'half_open';

export interface Breaker {
  state(now: number): BreakerState;
  /** True when a call may be sent now; half open, when no other one is on its way. */
  mayCall(now: number): boolean;
  /** A call was sent. */
  began(now: number): void;
  /**
   * How a call that began at `beganAt` went for the trunk. One that began before the breaker last changed
   * says nothing of the trunk as it is now, and changes nothing: without `beganAt` it is taken for a new one.
   */
  succeeded(now: number, beganAt?: number): void;
  failed(now: number, failure: { timeout: boolean }, beganAt?: number): void;
  /** A call is over and says nothing of the trunk: given back, or hung up by us. */
  ended(now: number, beganAt?: number): void;
  /** OPTIONS say that the trunk cannot be reached (true), or that it can be again: then it is tried. */
  force(open: boolean, now: number): void;
  /** Milliseconds until it half-opens; null when that does not depend on time alone. */
  nextChangeMs(now: number): number | null;
}

export interface BreakerRules {
  /** So many failures in a row open it. */
  failures: number;
  /** So many time-outs in a row do: each of them has held a channel for half a minute. */
  timeouts: number;
  /** At least so many results within `windowMs`, of which the share failed, open it too. */
  windowResults: number;
  windowMs: number;
  failedShare: number;
  /** How long it stays open: at first, and at most after doubling. */
  openMs: number;
  maxOpenMs: number;
  /** So many successes in a row close it again. */
  successes: number;
}

export const BREAKER_RULES: BreakerRules = {
  failures: 5,
  timeouts: 3,
  windowResults: 10,
  windowMs: 30_000,
  failedShare: 0.5,
  openMs: 5_000,
  maxOpenMs: 60_000,
  successes: 2,
};

/** Older results than the last so many are not looked at, so that a busy trunk costs no more than a quiet one. */
const KEPT_RESULTS = 100;

/** Makes a closed breaker. */
export function createBreaker(rules: BreakerRules = BREAKER_RULES): Breaker {
  let state: BreakerState = 'closed';
  /** When the present state began: results of calls that are older are late. */
  let since = Number.NEGATIVE_INFINITY;
  let openMs = rules.openMs;
  /** Infinity: forced open. */
  let opensUntil = 0;
  let probes = 0;
  let successes = 0;
  let failures = 0;
  let timeouts = 0;
  let results: { at: number; failed: boolean }[] = [];

  const become = (next: BreakerState, at: number): void => {
    state = next;
    since = at;
    probes = 0;
    successes = 0;
    failures = 0;
    timeouts = 0;
    results = [];
  };
  const open = (now: number): void => {
    become('open', now);
    opensUntil = now + openMs;
    openMs = Math.min(rules.maxOpenMs, openMs * 2);
  };
  /** Lets time pass. */
  const advance = (now: number): void => {
    if (state === 'open' && now >= opensUntil) become('half_open', opensUntil);
  };
  const isLate = (beganAt: number): boolean => beganAt < since || (state === 'half_open' && probes === 0);
  const remember = (now: number, failed: boolean): void => {
    results.push({ at: now, failed });
    if (results.length > KEPT_RESULTS) results.shift();
  };
  const tooManyFailed = (now: number): boolean => {
    const recent = results.filter(({ at }) => at > now - rules.windowMs);
    const failed = recent.filter((result) => result.failed).length;
    return recent.length >= rules.windowResults && failed >= recent.length * rules.failedShare;
  };

  return {
    state(now) {
      advance(now);
      return state;
    },
    mayCall(now) {
      advance(now);
      return state === 'closed' || (state === 'half_open' && probes === 0);
    },
    began(now) {
      advance(now);
      if (state === 'half_open') probes += 1;
    },
    succeeded(now, beganAt = now) {
      advance(now);
      if (state === 'open' || isLate(beganAt)) return;
      failures = 0;
      timeouts = 0;
      if (state === 'closed') {
        remember(now, false);
        return;
      }
      probes -= 1;
      successes += 1;
      if (successes < rules.successes) return;
      become('closed', now);
      openMs = rules.openMs;
    },
    failed(now, { timeout }, beganAt = now) {
      advance(now);
      if (state === 'open' || isLate(beganAt)) return;
      if (state === 'half_open') {
        open(now);
        return;
      }
      remember(now, true);
      failures += 1;
      timeouts = timeout ? timeouts + 1 : 0;
      if (failures >= rules.failures || timeouts >= rules.timeouts || tooManyFailed(now)) open(now);
    },
    ended(now, beganAt = now) {
      advance(now);
      if (state === 'half_open' && !isLate(beganAt)) probes -= 1;
    },
    force(shut, now) {
      advance(now);
      const forced = state === 'open' && opensUntil === Number.POSITIVE_INFINITY;
      if (shut && !forced) {
        become('open', now);
        opensUntil = Number.POSITIVE_INFINITY;
      }
      if (!shut && forced) become('half_open', now);
    },
    nextChangeMs(now) {
      advance(now);
      return state === 'open' && Number.isFinite(opensUntil) ? opensUntil - now : null;
    },
  };
}
