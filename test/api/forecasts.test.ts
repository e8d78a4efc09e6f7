import t, { type Test } from 'tap';
import { rows } from '../../engine/store/db.ts';
import { attempt, BROADCAST, call, plan, storedBroadcast, testApi } from '../support/api.ts';

const api = await testApi(t);
const { db } = api;
/** All day, so that the tests may run at night. */
await db.query(`update district set policy =
  '{"window": {"opens": "00:00", "closes": "00:00"}, "blackout": {"from": "00:00", "until": "00:00"}}'`);
const TOMORROW = new Date(Date.now() + 24 * 3_600_000).toISOString();
const ask = (body: object) => call(api, '/v1/forecasts', { method: 'POST', as: 'sender', body });
const forecastOf = (id: string) => call(api, `/v1/broadcasts/${id}/forecast`, { as: 'clerk' });
const phones = (count: number) => Array.from({ length: count }, (_, index) => `+1303555${1000 + index}`);
const QUESTION = {
  category: 'general',
  message: { en: 'Schools are closed today.' },
  audience: { kind: 'numbers', site: 'LINC', phones: phones(300) },
  expiresAt: TOMORROW,
};

async function clear(): Promise<void> {
  await db.query('truncate broadcasts cascade');
  await db.query('delete from trunks');
}
const trunk = (name: string, callsPerSecond: number, maxChannels = 1_000, state = 'active') =>
  db.query(
    `insert into trunks (name, host, max_channels, calls_per_second, state) values ($1, '192.0.2.1', $2, $3, $4)`,
    [name, maxChannels, callsPerSecond, state],
  );
function near(t: Test, found: number, expected: number, what: string): void {
  t.ok(Math.abs(found - expected) <= Math.max(2, expected * 0.03), `${what}: ${found}, expected ${expected}`);
}

t.test('before sending: only active trunks count, and nothing is stored', async (t) => {
  await clear();
  await trunk('a', 2);
  await trunk('b', 3);
  await trunk('c', 50, 1_000, 'paused');
  const { status, body } = await ask(QUESTION);
  t.equal(status, 200);
  t.match(body.basis, { calls: 300, trunks: 2, callsPerSecond: 5, channels: 2_000, pattern: 'default' });
  // 2 in 1.03 s and 3 in 1.03 s.
  near(t, body.tried.all.seconds, 300 / (5 / 1.03), 'all');
  near(t, body.tried.half.seconds, 150 / (5 / 1.03), 'half');
  near(t, body.tried.most.seconds, 285 / (5 / 1.03), 'most');
  t.ok(body.done.seconds > 2 * 900, 'the last of three tries');
  t.match(body.tried.all.at, /^\d{4}-/);
  t.same(await rows(db, 'select from broadcasts'), []);
  t.same(await rows(db, 'select from calls'), []);
});

t.test('the length of what is said: estimated, or as it was said before', async (t) => {
  await clear();
  await trunk('sim', 100, 10);
  const estimated = (await ask(QUESTION)).body;
  t.equal(estimated.basis.messageLength, 'estimated');
  // "This is Test District. Schools are closed today."
  t.equal(estimated.basis.messageMs, 900 + 48 * 52);
  const { id: broadcast } = await storedBroadcast(db, { category: 'general', message: QUESTION.message });
  await attempt(db, await plan(db, { broadcast, state: 'done', outcome: 'heard' }), { outcome: 'heard' });
  await db.query(`update calls set attempts = 1`);
  const said = (await ask(QUESTION)).body;
  t.match(said.basis, { messageMs: 12_000, messageLength: 'rendered' });
  const ratio = said.tried.all.seconds / estimated.tried.all.seconds;
  t.ok(ratio > 1.15, `with few channels the length matters: ${ratio}`);
});

t.test('a roster is counted as it would be planned: one call per phone', async (t) => {
  await clear();
  await trunk('a', 1);
  await db.query(`insert into students (sis_id, site_id, first_name, last_name, grade, language)
    select 'S' || n, sites.id, 'A', 'B', '3', 'en' from sites, generate_series(1, 4) n where code = 'LINC'`);
  // Two siblings share a phone; a mobile phone rings where every phone does; one has none.
  await db.query(`insert into contact_points (student_id, owner, kind, phone)
    select id, 'home', 'primary', ('+1303555200' || case sis_id when 'S2' then '1' else right(sis_id, 1) end)::e164
    from students where sis_id <> 'S4'
    union all select id, 'main', 'mobile', '+13035553001'::e164 from students where sis_id = 'S1'`);
  const audience = { kind: 'students' };
  t.equal((await ask({ ...QUESTION, audience })).body.basis.calls, 2);
  t.equal((await ask({ ...QUESTION, audience, category: 'schools_out' })).body.basis.calls, 3);
  t.equal((await ask({ ...QUESTION, audience: { ...audience, sites: ['ROOS'] } })).body.basis.calls, 0);
  t.equal((await ask({ ...QUESTION, audience: { kind: 'absent' } })).body.basis.calls, 0);
});

t.test('while it runs: what was tried, what is live, what waits for its retry', async (t) => {
  await clear();
  await trunk('sim', 1, 1_000);
  const { id: broadcast } = await storedBroadcast(db, { category: 'general' });
  await db.query(`update broadcasts set prepared_at = now(), expires_at = $1`, [TOMORROW]);
  for (let index = 0; index < 60; index += 1) await plan(db, { broadcast });
  for (let index = 0; index < 20; index += 1) await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  for (let index = 0; index < 15; index += 1) await plan(db, { broadcast, outcome: 'busy' });
  await db.query(`update calls set attempts = 1, tries = 1 where outcome is not null`);
  await db.query(`update calls set due_at = now() + interval '10 minutes' where outcome = 'busy'`);
  for (let index = 0; index < 5; index += 1) {
    const live = await plan(db, { broadcast, state: 'dialing' });
    await attempt(db, live, { state: 'answered' });
  }
  await db.query(`update calls set attempts = 1 where state = 'dialing'`);
  const { status, body } = await forecastOf(broadcast);
  t.equal(status, 200);
  t.equal(body.basis.calls, 100);
  near(t, body.tried.half.seconds, 10 * 1.03, 'half: 40 were tried');
  near(t, body.tried.most.seconds, 55 * 1.03, '95 %');
  near(t, body.tried.all.seconds, 60 * 1.03, 'all');
  t.ok(body.done.seconds >= 600, 'not before the retries');
  t.match(body.basis, { messageMs: 12_000, messageLength: 'rendered' });

  await db.query(`update broadcasts set state = 'paused'`);
  t.equal((await forecastOf(broadcast)).body.tried.all.seconds, body.tried.all.seconds, 'as if it ran now');
  await db.query(`update broadcasts set state = 'stopped'`);
  t.match((await forecastOf(broadcast)).body, { code: 'STATE_FORBIDS' });
});

t.test('one that is being prepared is counted as what it will be', async (t) => {
  await clear();
  await trunk('a', 10);
  const { id: broadcast } = await storedBroadcast(db, {
    category: 'general',
    audience: { kind: 'numbers', site: 'LINC', language: 'en', phones: phones(50) },
    expiresAt: new Date(TOMORROW),
  });
  for (let index = 0; index < 20; index += 1) await plan(db, { broadcast });
  t.equal((await forecastOf(broadcast)).body.basis.calls, 50);
});

t.test(
  'a more urgent broadcast goes first, an equal one takes turns, a held one waits for its own',
  async (t) => {
    await clear();
    await trunk('a', 1);
    const others = [
      { category: 'emergency', state: 'running' },
      { category: 'general', state: 'running' },
      { category: 'general', state: 'held' },
      { category: 'survey', state: 'running' },
    ] as const;
    for (const [index, { category, state }] of others.entries()) {
      const { id: broadcast } = await storedBroadcast(db, { category, state, expiresAt: new Date(TOMORROW) });
      for (let count = 0; count < 10 * (index + 1); count += 1) await plan(db, { broadcast });
    }
    const { body } = await ask({ ...QUESTION, audience: { ...QUESTION.audience, phones: phones(100) } });
    t.match(body.basis, { calls: 100, callsAhead: 10, callsBeside: 20 });
    near(t, body.tried.all.seconds, 130 * 1.03, 'all');
  },
);

t.test('enough finished attempts of the category are its pattern', async (t) => {
  await clear();
  await trunk('sim', 100, 10);
  const { id: broadcast } = await storedBroadcast(db, { category: 'general', expiresAt: new Date(TOMORROW) });
  for (let index = 0; index < 200; index += 1)
    await attempt(db, await plan(db, { broadcast, state: 'done', outcome: 'heard' }), { outcome: 'heard' });
  // Each rang for 5 s; 13 s after the answer it was over, with a message of 12 s heard to the end.
  await db.query(`update attempts set placed_at = now() - interval '18 s', answered_at = now() - interval '13 s',
    claimed_at = now() - interval '18 s', heard_ms = 12000, ended_at = now()`);
  const found = (await ask(QUESTION)).body;
  t.equal(found.basis.pattern, 'history');
  near(t, found.tried.all.seconds, (290 * (5 + 1 + found.basis.messageMs / 1000 + 0.06)) / 10, 'all');
  t.equal((await ask({ ...QUESTION, category: 'survey' })).body.basis.pattern, 'default', 'of its own only');
});

t.test('without a trunk nobody is called, and what is refused says why', async (t) => {
  await clear();
  t.match((await ask(QUESTION)).body, { tried: { half: null, all: null }, done: null, basis: { trunks: 0 } });
  t.match((await ask({ ...QUESTION, template: 'attendance' })).body, { code: 'INPUT_INVALID' });
  t.match((await ask({ ...QUESTION, message: undefined, template: 'nonsense' })).body, {
    code: 'TEMPLATE_INVALID',
  });
  t.match((await ask({ ...QUESTION, audience: { ...QUESTION.audience, site: 'X' } })).body, {
    code: 'NOT_FOUND',
  });
  t.match((await ask({ ...QUESTION, expiresAt: '2020-01-01T00:00:00Z' })).body, { code: 'INPUT_INVALID' });
  t.equal((await forecastOf('01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10')).status, 404);
  t.equal((await ask({ ...QUESTION, ...BROADCAST, expiresAt: TOMORROW })).status, 400, 'no title');
});
