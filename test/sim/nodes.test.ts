/** Two Asterisk nodes and one trunk: both are used, one can be drained, and one that dies is done without. */
import t from 'tap';
import { people, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { endedByCrash, peakChannels, peakRate } from './carrier/carrier.ts';

const CAPS = { maxChannels: 60, callsPerSecond: 12 };
const district = await startDistrict(t, { trunk: CAPS, env: SHORT_PROMPTS, nodes: 2 });

/** Attempts by node, of those that were claimed after `since`. */
async function attemptsByNode(broadcast: string, since = 0): Promise<Record<string, number>> {
  const counts: Record<string, number> = { 'asterisk-1': 0, 'asterisk-2': 0 };
  for (const { id } of await district.calls(broadcast))
    for (const { node, claimedAt } of await district.attempts(id))
      if (Date.parse(claimedAt) > since) counts[node] = (counts[node] ?? 0) + 1;
  return counts;
}

t.test('both nodes share the calls, and the caps are the trunk’s', async (t) => {
  const id = await district.broadcast(people(60));
  await district.finished(id);
  const { 'asterisk-1': one = 0, 'asterisk-2': two = 0 } = await attemptsByNode(id);
  t.ok(Math.abs(one - two) <= 6, `${one} and ${two}`);
  const seen = await district.carrier.calls();
  t.ok(peakRate(seen) <= CAPS.callsPerSecond, `${peakRate(seen)} in the worst second`);
});

t.test('a node that is drained gets no new call', async (t) => {
  const id = await district.broadcast(people(70));
  await district.until('calls are being placed', async () =>
    (await district.calls(id)).filter(({ state }) => state !== 'ready').length > 20 ? true : undefined,
  );
  await district.api.request('POST', '/v1/nodes/asterisk-2/drain');
  // What was claimed just before may still be on its way.
  const since = Date.now() + 300;
  const calls = await district.finished(id);
  t.ok(
    calls.every(({ outcome }) => outcome === 'unsure'),
    'live calls went on to their end',
  );
  const later = await attemptsByNode(id, since);
  t.equal(later['asterisk-2'], 0);
  t.ok((later['asterisk-1'] ?? 0) > 20);
  const { items } = await district.api.request<{ items: { name: string; calls: number }[] }>(
    'GET',
    '/v1/nodes',
  );
  t.match(items[1], { name: 'asterisk-2', state: 'draining', calls: 0 });
  await district.api.request('POST', '/v1/nodes/asterisk-2/resume');
});

t.test('a node that dies: its calls are decided at once, and the other goes on', async (t) => {
  const before = (await district.carrier.calls()).length;
  const phones = people(120);
  const id = await district.broadcast(phones);
  await district.until('calls are live on both', async () =>
    (await district.carrier.calls()).length > before + 50 ? true : undefined,
  );
  const diedAt = Date.now();
  await district.nodes[1]?.kill();
  const calls = await district.finished(id, 60_000);
  t.ok(calls.every(({ state, outcome }) => state === 'done' && outcome !== null));
  const reached = calls.filter(({ outcome }) => outcome === 'unsure').length;
  t.ok(reached > 110, `${reached} of 120 were reached`);
  const later = await attemptsByNode(id, diedAt + 3_000);
  t.equal(later['asterisk-2'], 0, 'no call for the dead');
  const seen = endedByCrash((await district.carrier.calls()).slice(before), diedAt);
  const numbers = new Set(seen.map(({ number }) => number));
  t.same(
    phones.filter((phone) => !numbers.has(phone)),
    [],
    'everybody was called',
  );
  t.ok(peakRate(seen) <= CAPS.callsPerSecond, `${peakRate(seen)} in the worst second`);
  t.ok(peakChannels(seen) <= CAPS.maxChannels);
});

t.test('it comes back, and is used', async (t) => {
  await district.nodes[1]?.restart();
  const id = await district.broadcast(people(40));
  await district.finished(id);
  t.ok(((await attemptsByNode(id))['asterisk-2'] ?? 0) > 10);
});
