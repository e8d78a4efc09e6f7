import t from 'tap';
import { attempt, call, PROMPT, plan, storedBroadcast, testApi } from '../support/api.ts';

const api = await testApi(t);
const { db } = api;
const { id: broadcast } = await storedBroadcast(db);
const { id: another } = await storedBroadcast(db, { title: 'Another' });
const waiting = await plan(db, { broadcast, outcome: 'busy' });
const heard = await plan(db, {
  broadcast,
  phone: '+13035550199',
  state: 'done',
  outcome: 'heard',
  heard: 'full',
  heardMs: 12_000,
  students: [
    { sisId: '1', site: 'LINC', firstName: 'Zoë', lastName: 'Peña' },
    { sisId: '2', site: 'ROOS', firstName: 'Ana', lastName: 'Peña' },
  ],
});
const elsewhere = await plan(db, { broadcast: another });
await attempt(db, heard, { number: 1, outcome: 'busy', sipCode: 486 });
await attempt(db, heard, { number: 2, outcome: 'heard', sipCode: 200, interrupted: true });

const ids = async (query: string) =>
  (await call(api, `/v1/calls${query}`, { as: 'clerk' })).body.items.map((each: { id: string }) => each.id);

t.test('calls by broadcast and outcome, in pages', async (t) => {
  t.same(await ids(''), [waiting, heard, elsewhere]);
  t.same(await ids(`?broadcast=${broadcast}`), [waiting, heard]);
  t.same(await ids('?outcome=heard'), [heard]);
  t.same(await ids('?outcome=pending'), [waiting, elsewhere]);
  t.same(await ids('?outcome=busy'), [], 'a retry is pending, so busy is not final');
  const { body } = await call(api, '/v1/calls?limit=2');
  t.equal(body.next, heard);
  t.same(await ids(`?limit=2&after=${body.next}`), [elsewhere]);
  for (const wrong of ['broadcast=1', 'outcome=great', 'after=x', 'limit=1e9', 'phone=%2B13035550199'])
    t.equal((await call(api, `/v1/calls?${wrong}`)).status, 400, wrong);
});

t.test('one call, with its attempts and those for whom it is', async (t) => {
  const { status, body } = await call(api, `/v1/calls/${heard}`, { as: 'clerk' });
  t.equal(status, 200);
  t.match(body, {
    id: heard,
    broadcastId: broadcast,
    phone: '+13035550199',
    state: 'done',
    outcome: 'heard',
    heard: 'full',
    heardMs: 12_000,
    messageMs: 12_000,
    promptHash: PROMPT,
    recipients: [
      { site: 'LINC', studentId: '1', student: 'Zoë Peña' },
      { site: 'ROOS', studentId: '2', student: 'Ana Peña' },
    ],
    attempts: [
      { number: 1, trunk: 'sim', node: 'asterisk-1', outcome: 'busy', sipCode: 486, interrupted: false },
      { number: 2, outcome: 'heard', sipCode: 200, interrupted: true, claimedAt: String, messageMs: 12_000 },
    ],
  });
  t.equal((await call(api, `/v1/calls/${broadcast}`)).status, 404);
});

t.test('a prompt', async (t) => {
  const { body } = await call(api, `/v1/prompts/${PROMPT}`, { as: 'clerk' });
  t.same(body, {
    hash: PROMPT,
    language: 'en',
    text: 'Hello',
    state: 'rendered',
    durationMs: 12_000,
    error: null,
  });
  t.equal((await call(api, `/v1/prompts/${'b'.repeat(64)}`)).status, 404);
  t.equal((await call(api, '/v1/prompts/..%2f..%2fetc%2fpasswd')).status, 400);
});
