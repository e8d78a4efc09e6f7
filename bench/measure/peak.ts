/** One run at one rate. */
export interface Trial {
  offered: number;
  seconds: number;
  calls: number;
  /** INVITEs a second that the carrier saw. */
  rate: number;
  errors: number;
  /** By process, per call. */
  cpuMs: Record<string, number>;
}

export interface Search {
  first: number;
  stepSeconds: number;
  sustainSeconds: number;
  onTrial(trial: Trial): void;
}

const STEP_UP = 1.25;
const STEP_DOWN = 0.94;
const LEAST_SHARE = 0.97;
const LEAST_GAIN = 1.03;
const MOST_ERRORS = 0.005;
const TRIES = 8;

/** True when the offered rate was held without errors. */
export const holds = ({ offered, rate, errors, calls }: Trial): boolean =>
  rate >= offered * LEAST_SHARE && errors <= calls * MOST_ERRORS;

/**
 * The highest rate that holds for `sustainSeconds`: raises the offered rate until it does not hold any more or
 * gains nothing, then holds the best, lower by steps until it holds. If nothing holds, the last try is returned.
 */
export async function findPeak(
  run: (offered: number, seconds: number) => Promise<Trial>,
  { first, stepSeconds, sustainSeconds, onTrial }: Search,
): Promise<{ peak: Trial; trials: Trial[] }> {
  const trials: Trial[] = [];
  const trial = async (offered: number, seconds: number): Promise<Trial> => {
    const result = await run(offered, seconds);
    trials.push(result);
    onTrial(result);
    return result;
  };
  let best = first;
  for (let offered = first, last = 0; ; offered *= STEP_UP) {
    const result = await trial(offered, stepSeconds);
    if (result.errors > result.calls * MOST_ERRORS) break;
    best = Math.max(best, Math.min(offered, result.rate));
    if (!holds(result) || result.rate < last * LEAST_GAIN) break;
    last = result.rate;
  }
  let peak = await trial(best, sustainSeconds);
  for (let left = TRIES; left > 0 && !holds(peak); left -= 1) {
    best *= STEP_DOWN;
    peak = await trial(best, sustainSeconds);
  }
  return { peak, trials };
}
