/**
 * 200 calls with a kill -9 in the middle: of the engine, of Asterisk, of PostgreSQL. Every call has one final
 * outcome, no phone got the complete message twice, none is lost, and the caps hold through it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { completeMessages, people, QUICK, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { type CarrierCall, endedByCrash, peakChannels, peakRate } from './carrier/carrier.ts';

const CALLS = 200;
const CAPS = { maxChannels: 100, callsPerSecond: 20 };
const district = await startDistrict(t, { trunk: CAPS, env: SHORT_PROMPTS });

/** Lets a broadcast run to its middle, has `crash` happen, and checks the ledger against the carrier. */
async function survive(
  t: Tap,
  crash: (before: number) => Promise<{ asteriskDiedAt?: number }>,
): Promise<void> {
  const before = (await district.carrier.calls()).length;
  const placed = async () => (await district.carrier.calls()).slice(before);
  const phones = people(CALLS);
  const id = await district.broadcast(phones);
  // Some have heard it all, many are in the middle, many ring, many wait.
  await district.until('the broadcast is in its middle', async () =>
    (await placed()).length > CALLS * 0.45 ? true : undefined,
  );
  const { asteriskDiedAt } = await crash(before);
  const calls = await district.finished(id, 150_000);

  let seen: CarrierCall[] = await placed();
  if (asteriskDiedAt !== undefined) seen = endedByCrash(seen, asteriskDiedAt);
  t.equal(calls.length, CALLS);
  t.ok(
    calls.every(({ state, outcome }) => state === 'done' && outcome !== null),
    'each has one final outcome',
  );
  const never = phones.filter((phone) => !seen.some(({ number }) => number === phone));
  t.same(never, [], 'none is lost');

  const [first] = await district.attempts(calls[0]?.id ?? '');
  const complete = completeMessages(seen, QUICK.answerPauseMs, first?.messageMs ?? 0);
  t.same(
    [...complete].filter(([, times]) => times > 1),
    [],
    'no phone got the complete message twice',
  );
  const reached = calls.filter(({ outcome }) => outcome === 'unsure').map(({ phone }) => phone);
  const outcomes = Object.groupBy(calls, ({ outcome }) => outcome ?? 'none');
  t.comment(
    Object.entries(outcomes)
      .map(([outcome, list]) => `${outcome} ${list?.length}`)
      .join(', '),
  );
  t.comment(`${seen.length} INVITEs for ${CALLS} phones, ${complete.size} complete messages`);
  t.ok(reached.length > CALLS * 0.9, 'nearly all were reached all the same');
  t.ok(peakRate(seen) <= CAPS.callsPerSecond, `${peakRate(seen)} in the worst second`);
  t.ok(peakChannels(seen) <= CAPS.maxChannels, `${peakChannels(seen)} channels at once`);
}
type Tap = typeof t;

t.test('kill -9 of the engine', async (t) => {
  await survive(t as Tap, async () => {
    await district.engine.kill();
    await sleep(2_000);
    await district.restartEngine();
    return {};
  });
});

t.test('kill -9 of Asterisk', async (t) => {
  await survive(t as Tap, async () => {
    await district.asterisk.kill();
    const asteriskDiedAt = Date.now();
    await sleep(1_000);
    await district.asterisk.restart();
    return { asteriskDiedAt };
  });
});

t.test('a restart of PostgreSQL', async (t) => {
  await survive(t as Tap, async () => {
    await district.postgres.restart();
    return {};
  });
});

t.test('kill -9 of PostgreSQL', async (t) => {
  await survive(t as Tap, async () => {
    await district.postgres.kill();
    await sleep(1_000);
    await district.postgres.restart();
    return {};
  });
});

t.test('an ordered shutdown: live calls finish, and nothing is interrupted', async (t) => {
  await survive(t as Tap, async (before) => {
    const began = Date.now();
    await district.engine.stop();
    t.ok(Date.now() - began < 15_000, `it took ${Date.now() - began} ms, a call and no more`);
    const seen = (await district.carrier.calls()).slice(before);
    t.ok(
      seen.every(({ endedAt }) => endedAt !== undefined),
      'every live call was let finish',
    );
    await district.restartEngine();
    return {};
  });
});
