/**
 * How fast a trunk is called when its carrier says that we are too fast: its configured calls per second, or
 * less for a while. Pure: the caller brings the time (monotonic ms).
 */
export interface Pace {
  /** Calls per second now. */
  rate(now: number): number;
  /** The carrier said so. */
  limited(now: number): void;
  /** The configured calls per second changed; how much less than that we go stays. */
  setConfigured(rate: number): void;
}

/** Refusals of calls that were on their way together are one answer. */
const HALVE_EVERY_MS = 1_000;
const LEAST_SHARE = 0.1;
/** Steps of a tenth back up, each after so long without a refusal. */
const STEP_MS = 5_000;
const STEPS = 10;

/** Makes a pace at the full configured rate. Throws RangeError unless the rate is above zero. */
export function createPace(configuredRate: number): Pace {
  let configured = checked(configuredRate);
  /** Share of the configured rate that was right at `quietSince`. */
  let share = 1;
  let quietSince = Number.NEGATIVE_INFINITY;
  let halvedAt = Number.NEGATIVE_INFINITY;

  const shareAt = (now: number): number =>
    share === 1 ? 1 : Math.min(1, share + Math.floor((now - quietSince) / STEP_MS) / STEPS);
  return {
    rate: (now) => configured * shareAt(now),
    limited(now) {
      share = shareAt(now);
      quietSince = now;
      if (now - halvedAt < HALVE_EVERY_MS) return;
      share = Math.max(LEAST_SHARE, share / 2);
      halvedAt = now;
    },
    setConfigured(rate) {
      configured = checked(rate);
    },
  };
}

function checked(rate: number): number {
  if (!(rate > 0)) throw new RangeError('calls per second must be above zero');
  return rate;
}
