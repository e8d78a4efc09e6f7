/**
 * How many originates of one Asterisk node may be on their way at once: asked for, INVITE not yet seen. A node
 * that is slow is asked less before it drops what we do not see, such as parents who call back. Pure: the
 * caller brings the time (monotonic ms).
 */
export interface OverloadWindow {
  /** A whole number from 2 to 64. */
  readonly limit: number;
  /** What was measured: an originate's latency, Node's event-loop delay, Asterisk's longest task queue. */
  feed(now: number, sample: { latencyMs?: number; eventLoopMs?: number; backlog?: number }): void;
}

const LEAST = 2;
const MOST = 64;
const START = 16;
const SHRINK = 0.7;
/** One sign of overload is seen in many samples. */
const SHRINK_EVERY_MS = 250;
const SLOW_LATENCY_MS = 400;
const SLOW_LOOP_MS = 150;
const LONG_BACKLOG = 200;
/**
 * Weight of the newest latency, and the most that one may say: from a usual 20 ms it takes three slow ones in
 * a row to be overload, and one lost packet is none.
 */
const NEWEST = 0.2;
const MOST_LATENCY_MS = 1_000;
/** A delay or backlog that nobody has measured since is not believed for ever. */
const BELIEVED_MS = 5_000;

/** Makes a window of 16. */
export function createWindow(): OverloadWindow {
  let limit = START;
  let latencyMs = 0;
  let shrunkAt = Number.NEGATIVE_INFINITY;
  let loop = { ms: 0, at: 0 };
  let queue = { tasks: 0, at: 0 };

  const isOverloaded = (now: number): boolean =>
    latencyMs > SLOW_LATENCY_MS ||
    (loop.ms > SLOW_LOOP_MS && now - loop.at < BELIEVED_MS) ||
    (queue.tasks > LONG_BACKLOG && now - queue.at < BELIEVED_MS);
  return {
    get limit() {
      return limit;
    },
    feed(now, sample) {
      if (sample.eventLoopMs !== undefined) loop = { ms: sample.eventLoopMs, at: now };
      if (sample.backlog !== undefined) queue = { tasks: sample.backlog, at: now };
      if (sample.latencyMs !== undefined)
        latencyMs += NEWEST * (Math.min(sample.latencyMs, MOST_LATENCY_MS) - latencyMs);
      if (!isOverloaded(now)) {
        const good = sample.latencyMs !== undefined && sample.latencyMs <= SLOW_LATENCY_MS;
        if (good) limit = Math.min(MOST, limit + 1);
      } else if (now - shrunkAt >= SHRINK_EVERY_MS) {
        limit = Math.max(LEAST, Math.floor(limit * SHRINK));
        shrunkAt = now;
      }
    },
  };
}
