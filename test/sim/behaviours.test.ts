/** Each behaviour of the carrier once: outcome, SIP code, attempts and heard level in the report are right. */
import t from 'tap';
import type { HeardLevel, Outcome } from '../../engine/domain/terms.ts';
import { startDistrict } from '../support/stack.ts';

const MAX_TRIES = 3;
const policy = { maxTries: MAX_TRIES, ringSeconds: 5, trunkRetrySeconds: 1, maxTrunkFailures: 2 };
// Longer than Timer B of dialplan/pjsip.conf, which tells a carrier that is gone from nobody at home.
const district = await startDistrict(t, { policy: { ...policy, ringSeconds: 20, maxTrunkFailures: 1 } });
const unresponsive = await district.broadcast(['+13035550191']);
await district.until('the carrier that is gone is called', async () =>
  (await district.carrier.calls()).length > 0 ? true : undefined,
);
await district.setPolicy(policy);

interface Expected {
  behaviour: string;
  digits: string;
  outcome: Outcome;
  sipCode: number | null;
  attempts: number;
  heard: HeardLevel;
  keys?: string;
}
const answered = { sipCode: null, attempts: 1 } as const;
const unsure = { ...answered, outcome: 'unsure', heard: 'unsure' } as const;
const silent = { heard: 'none' } as const;
const TABLE: Expected[] = [
  { behaviour: 'person', digits: '01', ...unsure },
  { behaviour: 'late-answer', digits: '70', ...unsure },
  { behaviour: 'busy', digits: '71', outcome: 'busy', sipCode: 486, attempts: MAX_TRIES, ...silent },
  {
    behaviour: 'no-answer',
    digits: '72',
    outcome: 'no_answer',
    sipCode: null,
    attempts: MAX_TRIES,
    ...silent,
  },
  // Nothing tells machines from people yet: what was played to one is unsure, not heard.
  { behaviour: 'voicemail', digits: '73', ...unsure },
  { behaviour: 'voicemail', digits: '74', ...unsure },
  { behaviour: 'bad-number', digits: '75', outcome: 'bad_number', sipCode: 404, attempts: 1, ...silent },
  { behaviour: 'gone', digits: '76', outcome: 'bad_number', sipCode: 410, attempts: 1, ...silent },
  { behaviour: 'incomplete', digits: '77', outcome: 'bad_number', sipCode: 484, attempts: 1, ...silent },
  { behaviour: 'blocked', digits: '78', outcome: 'blocked', sipCode: 603, attempts: 1, ...silent },
  { behaviour: 'declined', digits: '79', outcome: 'declined', sipCode: 603, attempts: 2, ...silent },
  { behaviour: 'overloaded', digits: '80', outcome: 'trunk_failure', sipCode: 503, attempts: 2, ...silent },
  {
    behaviour: 'unavailable',
    digits: '81',
    outcome: 'no_answer',
    sipCode: 480,
    attempts: MAX_TRIES,
    ...silent,
  },
  {
    behaviour: 'early-hang-up',
    digits: '82',
    outcome: 'partial',
    sipCode: null,
    attempts: 2,
    heard: 'partial',
  },
  { behaviour: 'hang-up-at-once', digits: '83', outcome: 'not_heard', sipCode: null, attempts: 2, ...silent },
  { behaviour: 'press-1', digits: '84', ...answered, outcome: 'confirmed', heard: 'confirmed', keys: '1' },
  { behaviour: 'press-2', digits: '85', ...answered, outcome: 'heard', heard: 'full', keys: '2' },
  { behaviour: 'press-1-2', digits: '86', ...answered, outcome: 'confirmed', heard: 'confirmed', keys: '1' },
  { behaviour: 'press-9', digits: '87', ...answered, outcome: 'heard', heard: 'full', keys: '9' },
  {
    behaviour: 'codec-refused',
    digits: '88',
    outcome: 'no_common_codec',
    sipCode: 488,
    attempts: 1,
    ...silent,
  },
  { behaviour: 'silent', digits: '90', ...unsure },
  { behaviour: 'early-media', digits: '92', ...unsure },
  { behaviour: 'bye-before-ack', digits: '93', outcome: 'not_heard', sipCode: null, attempts: 2, ...silent },
  // Nobody heard a word of an answer that came after we had given up.
  {
    behaviour: 'answer-after-cancel',
    digits: '94',
    outcome: 'no_answer',
    sipCode: null,
    attempts: MAX_TRIES,
    ...silent,
  },
  { behaviour: 'rate-limited', digits: '95', outcome: 'rate_limited', sipCode: 429, attempts: 2, ...silent },
  { behaviour: 'garbled', digits: '96', ...unsure },
];
const numberOf = (digits: string) => `+130355501${digits}`;

t.test('the report is right about every behaviour', async (t) => {
  const id = await district.broadcast(TABLE.map(({ digits }) => numberOf(digits)));
  const calls = await district.finished(id, 120_000);
  const seen = await district.carrier.calls();
  const report = await district.api.request<{
    lines: { phone: string; outcome: string; heard: string; attempts: number; sipCode: number | null }[];
    district: { byOutcome: Record<string, number>; total: number; recipients: number; pending: number };
  }>('GET', `/v1/reports/message-tracking?broadcast=${id}&limit=200`);
  for (const { behaviour, digits, outcome, sipCode, attempts, heard, keys = '' } of TABLE) {
    const phone = numberOf(digits);
    const call = calls.find((one) => one.phone === phone);
    const all = await district.attempts(call?.id ?? '');
    const name = `${behaviour} ${digits}`;
    t.match(call, { outcome, heard }, `${name}: ${outcome}`);
    t.equal(all.length, attempts, `${name}: attempts in the ledger`);
    t.equal(all.at(-1)?.sipCode ?? null, sipCode, `${name}: SIP code`);
    t.equal(all.at(-1)?.digits, keys, `${name}: keys`);
    const atCarrier = seen.filter(({ number }) => number === phone);
    t.equal(atCarrier.length, attempts, `${name}: INVITEs that the carrier saw`);
    t.ok(
      atCarrier.every((one) => one.behaviour === behaviour && one.endedAt !== undefined),
      `${name}: over`,
    );
    t.match(
      report.lines.find((line) => line.phone === phone),
      { outcome, heard, attempts },
      `${name}: in the report`,
    );
  }
  const sum = Object.values(report.district.byOutcome).reduce((total, count) => total + count, 0);
  t.match(report.district, { total: TABLE.length, recipients: TABLE.length, pending: 0 });
  t.equal(sum, TABLE.length);
});

t.test('what was heard is what the carrier saw played', async (t) => {
  const id = await district.broadcast([numberOf('02'), numberOf('82')]);
  const calls = await district.finished(id);
  for (const call of calls) {
    const all = await district.attempts(call.id);
    const [first] = all;
    const [seen] = (await district.carrier.calls())
      .filter(({ number }) => number === call.phone)
      .slice(-all.length);
    const live = (seen?.endedAt ?? 0) - (seen?.answeredAt ?? 0);
    if (call.outcome === 'unsure') {
      t.equal(first?.heardMs, first?.messageMs);
      t.ok(live >= 500 + (first?.messageMs ?? 0), `live for ${live} ms`);
    } else
      t.ok(
        Math.abs((first?.heardMs ?? 0) - (live - 500)) < 400,
        `heard ${first?.heardMs} of ${live} ms live`,
      );
  }
});

t.test('a carrier that does not respond at all is a failure of the trunk', async (t) => {
  const [call] = await district.finished(unresponsive);
  t.match(call, { outcome: 'trunk_failure', heard: 'none' });
  const attempts = await district.attempts(call?.id ?? '');
  t.match(attempts[0], { outcome: 'trunk_failure', sipCode: 408 });
});

t.test('a carrier that refuses us stops the trunk, and says so', async (t) => {
  const id = await district.broadcast([numberOf('89')]);
  const trunk = await district.until('the trunk stops', async () => {
    const { items } = await district.api.request<{ items: { state: string; stateReason: string }[] }>(
      'GET',
      '/v1/trunks',
    );
    return items.find(({ state }) => state === 'refused');
  });
  t.match(trunk, { state: 'refused', stateReason: /403/ });
  await district.api.request('POST', `/v1/broadcasts/${id}/stop`);
  t.match(await district.calls(id), [{ state: 'done', outcome: 'trunk_refused' }]);
  await district.api.request('POST', `/v1/trunks/${district.trunkId}/resume`);
  const after = await district.broadcast([numberOf('03')]);
  t.match(await district.finished(after), [{ outcome: 'unsure' }], 'and works again when it is set active');
});
