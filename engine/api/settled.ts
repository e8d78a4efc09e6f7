import type { Clock } from '../clock.ts';

const SETTLE_POLL_MS = 20;
const SETTLE_LIMIT_MS = 5_000;

/**
 * Waits until no claimed call is left whose INVITE may still leave; false when some are left after a while, as when
 * Asterisk does not answer.
 */
export async function settled(clock: Clock, hasClaims: () => Promise<boolean>): Promise<boolean> {
  const until = clock.monotonic() + SETTLE_LIMIT_MS;
  while (await hasClaims()) {
    if (clock.monotonic() >= until) return false;
    await clock.sleep(SETTLE_POLL_MS);
  }
  return true;
}
