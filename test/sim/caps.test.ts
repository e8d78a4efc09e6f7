/** The carrier's own log: neither cap is exceeded, and after a pause or stop no INVITE comes. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { people, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { peakChannels, peakRate } from './carrier/carrier.ts';

const CAPS = { maxChannels: 12, callsPerSecond: 4.5 };
const district = await startDistrict(t, { trunk: CAPS, env: SHORT_PROMPTS });
const post = (id: string, action: string) =>
  district.api.request<{ state: string; settled: boolean }>('POST', `/v1/broadcasts/${id}/${action}`);

t.test('neither cap is exceeded, and both are used', async (t) => {
  const id = await district.broadcast(people(50));
  const calls = await district.finished(id, 120_000);
  t.ok(calls.every(({ outcome }) => outcome === 'unsure'));
  const seen = await district.carrier.calls();
  t.equal(seen.length, 50);
  t.ok(peakRate(seen) <= Math.ceil(CAPS.callsPerSecond), `${peakRate(seen)} in the worst second`);
  t.ok(peakRate(seen, 10_000) <= CAPS.callsPerSecond * 10 + 1, `${peakRate(seen, 10_000)} in the worst 10 s`);
  t.equal(peakChannels(seen), CAPS.maxChannels, 'every channel paid for was busy, and never one more');
});

t.test('a pause and a stop are followed by no INVITE', async (t) => {
  await district.api.request('PATCH', `/v1/trunks/${district.trunkId}`, {
    maxChannels: 100,
    callsPerSecond: 15,
  });
  const before = (await district.carrier.calls()).length;
  const id = await district.broadcast(people(90));
  const placed = () => district.carrier.calls().then((calls) => calls.slice(before));
  await district.until('calls are being placed', async () =>
    (await placed()).length > 15 ? true : undefined,
  );

  t.match(await post(id, 'pause'), { state: 'paused', settled: true });
  const pausedAt = Date.now();
  await sleep(1_500);
  t.same(
    (await placed()).filter(({ inviteAt }) => inviteAt > pausedAt),
    [],
    'none after the pause',
  );
  t.match(await post(id, 'resume'), { state: 'running' });
  await district.until('calls go on', async () =>
    (await placed()).some(({ inviteAt }) => inviteAt > pausedAt) ? true : undefined,
  );

  t.match(await post(id, 'stop'), { state: 'stopped', settled: true });
  const stoppedAt = Date.now();
  await sleep(1_500);
  t.same(
    (await placed()).filter(({ inviteAt }) => inviteAt > stoppedAt),
    [],
    'none after the stop',
  );
  const calls = await district.until('live calls end', async () => {
    const all = await district.calls(id);
    return all.every(({ state }) => state === 'done') ? all : undefined;
  });
  const stopped = calls.filter(({ outcome }) => outcome === 'stopped').length;
  t.equal(stopped, 90 - (await placed()).length, 'what was not placed is stopped, and all of it is final');
  t.ok(stopped > 0 && stopped < 90);
});

t.test('nobody is called at night', async (t) => {
  // A window that closed a minute ago, on the same clock.
  const minute = 60_000;
  const clock = (at: number) => new Date(at).toISOString().slice(11, 16);
  const now = Date.now();
  await district.api.request('PUT', '/v1/district', {
    name: 'Test District',
    zone: 'UTC',
    country: 'US',
    policy: {
      window: { opens: clock(now - 10 * minute), closes: clock(now - 2 * minute) },
      blackout: { from: clock(now + 120 * minute), until: clock(now + 125 * minute) },
    },
  });
  const before = (await district.carrier.calls()).length;
  const id = await district.broadcast(people(3));
  await district.until('the calls are ready', async () =>
    (await district.calls(id)).every(({ state }) => state === 'ready') ? true : undefined,
  );
  await sleep(2_500);
  t.equal((await district.carrier.calls()).length, before, 'no INVITE left');
  t.ok(
    (await district.calls(id)).every(({ state }) => state === 'ready'),
    'they wait for the next opening',
  );
  await post(id, 'stop');
});
