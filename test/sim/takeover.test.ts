/**
 * Two dialers and one trunk: one places the calls, and when it is killed, or asleep, the other goes on within
 * five seconds. The caps hold through the change, nobody is called twice, and nobody is forgotten.
 */
import t from 'tap';
import { completeMessages, people, QUICK, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { type CarrierCall, peakChannels, peakRate } from './carrier/carrier.ts';

const CALLS = 160;
const CAPS = { maxChannels: 60, callsPerSecond: 12 };
const district = await startDistrict(t, { trunk: CAPS, env: { ...SHORT_PROMPTS, ROLES: 'api,jobs' } });
type Tap = typeof t;

/** Lets a broadcast run to its middle, has `change` happen, and checks the whole against the carrier. */
async function goesOn(t: Tap, change: () => Promise<void>): Promise<void> {
  const before = (await district.carrier.calls()).length;
  const placed = async () => (await district.carrier.calls()).slice(before);
  const phones = people(CALLS);
  const id = await district.broadcast(phones);
  await district.until('the broadcast is in its middle', async () =>
    (await placed()).length > CALLS * 0.4 ? true : undefined,
  );
  await change();
  const calls = await district.finished(id, 120_000);
  const seen: CarrierCall[] = await placed();

  const gap = Math.max(
    ...seen.slice(1).map(({ inviteAt }, index) => inviteAt - (seen[index]?.inviteAt ?? 0)),
  );
  t.comment(
    `${seen.length} INVITEs for ${CALLS} phones; the longest pause between two was ${gap.toFixed(0)} ms`,
  );
  t.ok(gap < 5_000, 'the other went on within five seconds');
  t.ok(peakRate(seen) <= CAPS.callsPerSecond, `${peakRate(seen)} in the worst second`);
  t.ok(peakChannels(seen) <= CAPS.maxChannels, `${peakChannels(seen)} channels at once`);

  t.ok(calls.every(({ state, outcome }) => state === 'done' && outcome !== null));
  const numbers = new Set(seen.map(({ number }) => number));
  t.same(
    phones.filter((phone) => !numbers.has(phone)),
    [],
    'everybody was called',
  );
  const [first] = await district.attempts(calls[0]?.id ?? '');
  const complete = completeMessages(seen, QUICK.answerPauseMs, first?.messageMs ?? 0);
  t.same(
    [...complete].filter(([, times]) => times > 1),
    [],
    'nobody heard it twice',
  );
  t.ok(complete.size > CALLS * 0.95, `${complete.size} heard it all`);
}

t.test('kill -9 of the dialer that has the trunk', async (t) => {
  const first = await district.addEngine('dialer-1', 'dialer');
  await district.addEngine('dialer-2', 'dialer');
  await goesOn(t as Tap, () => first.kill());
});

t.test('a dialer that falls asleep is followed, and when it wakes it knows that it is', async (t) => {
  // dialer-2 has the trunk by now.
  const third = await district.addEngine('dialer-3', 'dialer');
  const second = district.engines.find(({ process }) => process.isRunning() && process !== third.process);
  const pid = second?.process.pid ?? 0;
  await goesOn(t as Tap, async () => {
    process.kill(pid, 'SIGSTOP');
    const before = (await district.carrier.calls()).length;
    await district.until('the other goes on', async () =>
      (await district.carrier.calls()).length > before + 10 ? true : undefined,
    );
    process.kill(pid, 'SIGCONT');
  });
  const ready = await fetch(`${second?.url}/readyz`);
  t.equal(ready.status, 200, 'it stands by');
});
