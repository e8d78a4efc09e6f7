/** What is forecast before the start, against the carrier's log: half, 95 % and all homes tried, within 10 %. */
import t, { type Test } from 'tap';
import { SHORT_PROMPTS, startDistrict } from '../support/stack.ts';

/** Seven of ten are people who answer; the rest is what phones do, but for what is the trunk's trouble. */
const ENDS = [
  ...Array.from({ length: 70 }, (_, index) => index),
  ...[70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 81, 82, 83, 84, 85, 86, 87, 90, 92],
];
/** Numbers whose behaviours are mixed whichever way they are sorted. */
const mixed = (count: number, exchange: number): string[] =>
  Array.from({ length: count }, (_, index) => {
    const end = ENDS[(index * 37) % ENDS.length];
    const digits = [exchange + Math.floor(index / 100), index % 100, end].map((part) => String(part));
    return `+1303${digits.map((part, place) => part.padStart(place === 0 ? 3 : 2, '0')).join('')}`;
  });

const TEXT = 'School is closed.';
const district = await startDistrict(t, { env: SHORT_PROMPTS });
const { api } = district;
const rules = (maxTries: number) =>
  district.setPolicy({ answerPauseMs: 300, keyWaitMs: 500, ringSeconds: 6, retryDelaySeconds: 4, maxTries });
const caps = (maxChannels: number, callsPerSecond: number) =>
  api.request('PATCH', `/v1/trunks/${district.trunkId}`, { maxChannels, callsPerSecond });

interface Moment {
  seconds: number;
  at: string;
}
interface Answer {
  tried: { half: Moment; most: Moment; all: Moment };
  done: Moment;
  basis: { pattern: string; calls: number; messageLength: string };
}

/** Sends to `phones`; compares what was forecast just before the start with what the carrier saw. */
async function compare(t: Test, phones: string[]): Promise<void> {
  const id = await district.broadcast(phones, { text: TEXT, start: false });
  await district.until('it is prepared', async () =>
    (await district.calls(id)).filter(({ state }) => state === 'ready').length === phones.length
      ? true
      : undefined,
  );
  const asked = Date.now();
  const found = await api.request<Answer>('GET', `/v1/broadcasts/${id}/forecast`);
  t.match(found.basis, { pattern: 'history', calls: phones.length, messageLength: 'rendered' });
  const started = Date.now();
  await api.request('POST', `/v1/broadcasts/${id}/run`);
  await district.finished(id, 90_000);
  const ours = new Set(phones);
  const seen = (await district.carrier.calls()).filter(({ number }) => ours.has(number));
  const first = new Map<string, number>();
  for (const { number, inviteAt } of seen) if (!first.has(number)) first.set(number, inviteAt - started);
  const tried = [...first.values()].sort((a, b) => a - b);
  t.equal(tried.length, phones.length);
  const last = Math.max(...seen.map(({ endedAt = 0 }) => endedAt)) - started;
  const check = (what: string, moment: Moment, real: number) => {
    const ms = new Date(moment.at).getTime() - asked;
    const off = (ms - real) / real;
    const text = `${what}: forecast ${(ms / 1000).toFixed(1)} s, measured ${(real / 1000).toFixed(1)} s, ${(off * 100).toFixed(1)} %`;
    // The end hangs on what the last few phones do: it is told, and not promised within 10 %.
    if (what === 'done') t.comment(text);
    else t.ok(Math.abs(off) <= 0.1, text);
  };
  const nth = (share: number) => tried[Math.ceil(phones.length * share) - 1] ?? Number.NaN;
  check('half', found.tried.half, nth(0.5));
  check('95 %', found.tried.most, nth(0.95));
  check('all', found.tried.all, nth(1));
  check('done', found.done, last);
}

t.test('a first broadcast, of which the district learns how its phones answer', async () => {
  await rules(2);
  await caps(200, 60);
  await district.finished(await district.broadcast(mixed(230, 400), { text: TEXT }), 60_000);
});

t.test('bound by calls per second', async (t) => {
  await rules(1);
  await caps(200, 11);
  await compare(t, mixed(100, 500));
});

t.test('bound by channels', async (t) => {
  await rules(1);
  await caps(12, 30);
  await compare(t, mixed(75, 600));
});

t.test('bound by both, with retries among the first tries', async (t) => {
  await rules(2);
  await caps(30, 6);
  await compare(t, mixed(60, 700));
});
