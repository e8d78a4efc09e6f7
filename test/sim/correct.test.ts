/** Stop and correct, on the wire: exactly the phones that answered are called again, each once. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { people, QUICK, SHORT_PROMPTS, startDistrict } from '../support/stack.ts';

const district = await startDistrict(t, {
  trunk: { maxChannels: 10, callsPerSecond: 4 },
  env: SHORT_PROMPTS,
});
// Three are busy, and one hangs up before a word is said: they heard nothing. They come first in the queue.
const phones = [
  ...people(24),
  '+13035540071',
  '+13035540171',
  '+13035540271',
  '+13035540083',
  '+13035540082',
  '+13035540084',
];

t.test('a correction reaches exactly those that heard something', async (t) => {
  await district.setPolicy({ maxTries: 1 });
  const id = await district.broadcast(phones);
  await district.until('half of them have been called', async () =>
    (await district.carrier.calls()).length >= 15 ? true : undefined,
  );
  const liveAtStop = (await district.carrier.calls()).filter(({ endedAt }) => endedAt === undefined).length;
  t.ok(liveAtStop > 0, `${liveAtStop} are on the line`);
  const { broadcast, settled } = await district.api.request<{
    broadcast: { id: string; corrects: string };
    settled: boolean;
  }>(
    'POST',
    `/v1/broadcasts/${id}/correct`,
    { message: { en: 'Schools are open. That was a mistake.' } },
    { 'idempotency-key': randomUUID() },
  );
  const correctedAt = Date.now();
  t.ok(settled);
  t.equal(broadcast.corrects, id);
  const corrections = await district.finished(broadcast.id, 90_000);
  const originals = await district.calls(id);
  t.ok(
    originals.every(({ state }) => state === 'done'),
    'the original is over',
  );
  const reached = originals.filter(({ heard, heardMs }) => heard !== 'none' || heardMs > 0);
  t.ok(reached.length >= 8 && reached.length < originals.length, `${reached.length} of ${originals.length}`);
  t.ok(
    originals.filter(({ outcome }) => outcome === 'busy' || outcome === 'not_heard').length === 4,
    'four were called and heard nothing',
  );
  t.same(corrections.map(({ phone }) => phone).sort(), reached.map(({ phone }) => phone).sort());

  // The carrier's word for it: who stayed on the line past the pause heard something.
  const seen = await district.carrier.calls();
  const first = new Map<string, boolean>();
  const second = new Map<string, number>();
  for (const { number, inviteAt, answeredAt, endedAt = Number.POSITIVE_INFINITY } of seen) {
    if (first.has(number)) second.set(number, (second.get(number) ?? 0) + 1);
    else first.set(number, answeredAt !== undefined && endedAt - answeredAt > QUICK.answerPauseMs + 300);
    if (inviteAt > correctedAt) t.ok(second.has(number), 'whoever is called now was called before');
  }
  const heard = [...first].filter(([, answered]) => answered).map(([number]) => number);
  t.same([...second.keys()].sort(), heard.sort(), 'exactly those who answered, by the carrier');
  t.same(new Set(second.values()), new Set([1]), 'each once');
});
