/** Two carriers: the first is preferred, and what it cannot do the second does, at once and without a try. */
import t from 'tap';
import { people, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { peakRate } from './carrier/carrier.ts';

const CAPS = { maxChannels: 40, callsPerSecond: 8 };
const district = await startDistrict(t, {
  carriers: 2,
  trunk: { ...CAPS, priority: 1, qualifySeconds: 2 },
  env: SHORT_PROMPTS,
  policy: { trunkRetrySeconds: 1 },
});
const [first, second] = district.carriers;
if (first === undefined || second === undefined) throw new Error('two carriers were asked for');
const secondId = await district.addTrunk('second', {
  port: second.port,
  ...CAPS,
  priority: 2,
  qualifySeconds: 2,
});

interface Trunk {
  id: string;
  state: string;
  engine: string | null;
  health: { breaker: string; rate: number; nodes: Record<string, { reachable: boolean | null }> } | null;
}
const trunkOf = async (id: string): Promise<Trunk> => {
  const { items } = await district.api.request<{ items: Trunk[] }>('GET', '/v1/trunks');
  const trunk = items.find((item) => item.id === id);
  if (trunk === undefined) throw new Error(`no trunk ${id}`);
  return trunk;
};
/** Attempts of a broadcast, by trunk and outcome. */
async function attemptsOf(broadcast: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { id } of await district.calls(broadcast))
    for (const { trunk, outcome } of await district.attempts(id)) {
      const key = `${trunk} ${outcome}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
  return counts;
}

t.test('both are known to be well', async (t) => {
  const trunk = await district.until('the trunk is watched', async () => {
    const found = await trunkOf(district.trunkId);
    return found.health?.nodes['asterisk-1']?.reachable === true ? found : undefined;
  });
  t.match(trunk, { state: 'active', health: { breaker: 'closed', rate: CAPS.callsPerSecond } });
  t.match(trunk.engine, /:\d+$/);
});

t.test('few calls go by the preferred trunk, many by both at once', async (t) => {
  const few = await district.broadcast(people(5));
  await district.finished(few);
  t.same(await attemptsOf(few), { 'carrier unsure': 5 });
  const many = await district.broadcast(people(80));
  await district.finished(many);
  const { 'carrier unsure': one = 0, 'second unsure': two = 0 } = await attemptsOf(many);
  t.equal(one + two, 80);
  t.ok(two > 25, `${one} and ${two}`);
});

t.test('a number that the one refuses for its own reasons is tried by the other at once', async (t) => {
  const id = await district.broadcast(['+13035550080']);
  const [call] = await district.until('both were tried', async () => {
    const calls = await district.calls(id);
    const attempts = await district.attempts(calls[0]?.id ?? '').catch(() => []);
    return attempts[1]?.outcome == null ? undefined : calls;
  });
  const [one, two] = await district.attempts(call?.id ?? '');
  t.match(
    [one, two],
    [
      { trunk: 'carrier', outcome: 'trunk_failure', sipCode: 503 },
      { trunk: 'second', sipCode: 503 },
    ],
  );
  const pause = Date.parse(two?.claimedAt ?? '') - Date.parse(one?.claimedAt ?? '');
  t.ok(pause < 500, `after ${pause} ms`);
  await district.api.request('POST', `/v1/broadcasts/${id}/stop`);
});

t.test('a carrier that says we are too fast is slowed down, and climbs back', async (t) => {
  const id = await district.broadcast(['+13035550095']);
  const slowed = await district.until('it is slowed down', async () => {
    const { health } = await trunkOf(district.trunkId);
    return health !== null && health.rate < CAPS.callsPerSecond ? health : undefined;
  });
  t.equal(slowed.rate, CAPS.callsPerSecond / 2);
  t.equal(slowed.breaker, 'closed', 'it is not out of order');
  await district.api.request('POST', `/v1/broadcasts/${id}/stop`);
  await district.until('it climbs', async () => {
    const { health } = await trunkOf(district.trunkId);
    return health !== null && health.rate > CAPS.callsPerSecond / 2 ? true : undefined;
  });
});

t.test('a carrier that is gone: all calls go by the other, and none is lost', async (t) => {
  const before = (await second.calls()).length;
  await first.kill();
  const id = await district.broadcast(people(60));
  const calls = await district.finished(id, 90_000);
  t.ok(
    calls.every(({ outcome }) => outcome === 'unsure'),
    'everybody was reached',
  );
  const phones = new Set(people(60));
  const seen = (await second.calls()).slice(before).filter(({ number }) => phones.has(number));
  t.equal(seen.length, 60);
  t.ok(peakRate(seen) <= CAPS.callsPerSecond, `${peakRate(seen)} in the worst second`);
  const counts = await attemptsOf(id);
  t.ok((counts['carrier trunk_failure'] ?? 0) < 30, JSON.stringify(counts));
  t.match(await trunkOf(district.trunkId), { health: { breaker: 'open' } });
  t.match(await trunkOf(secondId), { health: { breaker: 'closed' } });
});
