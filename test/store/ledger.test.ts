import fc from 'fast-check';
import t from 'tap';
import type { AttemptEnd, Claim } from '../../engine/domain/ledger.ts';
import { type Database, maybeOne, one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const HASH = 'a'.repeat(64);

interface Scene {
  trunkId: string;
  siteId: string;
}

async function scene(): Promise<Scene> {
  await db.query(
    `truncate broadcasts, calls, attempts, call_recipients, trunks, sites, district, prompts cascade`,
  );
  await db.query(`insert into district (name, zone, country) values ('Test', 'America/Denver', 'US')`);
  await db.query(
    `insert into prompts (hash, language, text, state, duration_ms, rendered_at)
     values ($1, 'en', 'text', 'rendered', 8000, now())`,
    [HASH],
  );
  const site = await one<{ id: string }>(
    db,
    `insert into sites (code, name, level) values ('A', 'A', 'other') returning id`,
  );
  const trunk = await one<{ id: string }>(
    db,
    `insert into trunks (name, endpoint, max_channels, calls_per_second) values ('t', 't', 10, 10) returning id`,
  );
  return { trunkId: trunk.id, siteId: site.id };
}

async function broadcast(
  db: Database,
  {
    state = 'running',
    category = 'general',
    urgency = 3,
    expires = '1 hour',
    calls = 1,
    zone = 'America/Denver',
  } = {},
): Promise<string> {
  const { id } = await one<{ id: string }>(
    db,
    `insert into broadcasts (title, category, urgency, template, audience, school_date, state, expires_at, created_by, prepared_at)
     values ('x', $1, $2, 'message', '{}', '2026-01-01', $3, now() + $4::interval, 'test', now()) returning id`,
    [category, urgency, state, expires],
  );
  await db.query(
    `insert into calls (broadcast_id, phone, language, zone, prompt_hash, state)
     select $1, '+1303555' || lpad(n::text, 4, '0'), 'en', $3, $4, 'ready' from generate_series(1, $2) n`,
    [id, calls, zone, HASH],
  );
  return id;
}

const claim = (trunkId: string, limit: number, openZones = ['America/Denver']): Promise<Claim[]> =>
  ledger.claim({ trunkId, node: 'n1', limit, openZones, fixedMs: 1000, messagePlays: 3 });

const end = (attemptId: string, over: Partial<AttemptEnd> = {}): AttemptEnd => ({
  attemptId,
  outcome: 'busy',
  heard: 'none',
  heardMs: 0,
  sipCode: 486,
  cause: 17,
  digits: '',
  interrupted: false,
  counted: 'try',
  retryInMs: null,
  ...over,
});

t.test('a claim writes the attempt before anybody can dial', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db);
  const [claimed] = await claim(trunkId, 5);
  const attempt = await one<{ state: string; number: number; seconds: number }>(
    db,
    `select state, number, extract(epoch from deadline_at - claimed_at)::float8 as seconds from attempts where id = $1`,
    [claimed?.attemptId],
  );
  t.match(attempt, { state: 'claimed', number: 1, seconds: 25 });
  t.match(claimed, {
    phone: '+13035550001',
    messageMs: 8000,
    history: { tries: 0, interruptions: 0, trunkFailures: 0 },
  });
  t.same(await claim(trunkId, 5), [], 'and it is not claimed again');
});

t.test('the most urgent broadcast first', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db, { calls: 3 });
  const urgent = await broadcast(db, { category: 'emergency', urgency: 0, calls: 2 });
  const claims = await claim(trunkId, 3);
  t.same(claims.map((one) => one.broadcastId === urgent).sort(), [false, true, true]);
});

t.test('not claimed: paused, stopped, held, expired, closed zone, not due', async (t) => {
  const { trunkId } = await scene();
  for (const state of ['paused', 'stopped', 'held', 'done']) await broadcast(db, { state });
  await broadcast(db, { expires: '-1 second' });
  await broadcast(db, { zone: 'Pacific/Honolulu' });
  const later = await broadcast(db);
  await db.query(`update calls set due_at = now() + interval '1 minute' where broadcast_id = $1`, [later]);
  t.same(await claim(trunkId, 10), []);
});

t.test('a pause that is committed is seen by every later claim, and waits for one under way', async (t) => {
  const { trunkId } = await scene();
  const id = await broadcast(db, { calls: 4 });
  const client = await db.connect();
  await client.query('begin');
  const inClaim = createLedger(client as unknown as Database);
  t.equal(
    (
      await inClaim.claim({
        trunkId,
        node: 'n1',
        limit: 2,
        openZones: ['America/Denver'],
        fixedMs: 1,
        messagePlays: 1,
      })
    ).length,
    2,
  );
  let paused = false;
  const pause = db.query(`update broadcasts set state = 'paused' where id = $1`, [id]).then(() => {
    paused = true;
  });
  await db.query('select pg_sleep(0.05)');
  t.equal(paused, false, 'the pause waits');
  await client.query('commit');
  client.release();
  await pause;
  t.same(await claim(trunkId, 10), []);
});

t.test('claims at the same time share nothing and exceed nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 40 }),
      fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 6 }),
      async (calls, limits) => {
        const { trunkId } = await scene();
        await broadcast(db, { calls });
        const claims = await Promise.all(limits.map((limit) => claim(trunkId, limit)));
        const phones = claims.flat().map(({ phone }) => phone);
        return (
          new Set(phones).size === phones.length &&
          claims.every((list, index) => list.length <= (limits[index] ?? 0)) &&
          phones.length <= calls
        );
      },
    ),
    { numRuns: 25 },
  );
});

t.test('the database refuses a second open attempt of a call', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await t.rejects(
    db.query(
      `insert into attempts (call_id, trunk_id, node, number, deadline_at, message_ms) values ($1, $2, 'n', 2, now(), 1)`,
      [claimed?.callId, trunkId],
    ),
    { code: '23505' },
  );
});

t.test('an end is taken once', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db);
  const [claimed] = await claim(trunkId, 1);
  const id = claimed?.attemptId ?? '';
  await ledger.endAttempts([end(id, { retryInMs: 0 })]);
  await ledger.endAttempts([end(id, { outcome: 'confirmed', retryInMs: null })]);
  const call = await one(db, 'select state, outcome, tries from calls');
  t.same(call, { state: 'ready', outcome: 'busy', tries: 1 });
  await ledger.markAnswered([id]);
  t.match(
    await one(db, 'select state from attempts where id = $1', [id]),
    { state: 'ended' },
    'late events change nothing',
  );
});

t.test('what was never sent changes no outcome, and of two ends the first counts', async (t) => {
  const { trunkId } = await scene();
  const id = await broadcast(db);
  const [first] = await claim(trunkId, 1);
  await ledger.endAttempts([end(first?.attemptId ?? '', { retryInMs: 0 })]);
  const [second] = await claim(trunkId, 1);
  const neverSent = { outcome: 'interrupted', counted: 'nothing', retryInMs: 0 } as const;
  await ledger.endAttempts([end(second?.attemptId ?? '', neverSent)]);
  t.same(await one(db, 'select state, outcome, tries from calls'), {
    state: 'ready',
    outcome: 'busy',
    tries: 1,
  });
  const [third] = await claim(trunkId, 1);
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  await ledger.endAttempts([end(third?.attemptId ?? '', neverSent)]);
  t.same(await one(db, 'select state, outcome from calls'), { state: 'done', outcome: 'busy' });
});

t.test('an answer is not overwritten by a later busy', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db);
  const [first] = await claim(trunkId, 1);
  await ledger.endAttempts([
    end(first?.attemptId ?? '', { outcome: 'partial', heard: 'partial', heardMs: 1000, retryInMs: 0 }),
  ]);
  const [second] = await claim(trunkId, 1);
  t.match(second?.history, { tries: 1 });
  await ledger.endAttempts([end(second?.attemptId ?? '')]);
  t.same(await one(db, 'select state, outcome, heard, heard_ms, tries from calls'), {
    state: 'done',
    outcome: 'partial',
    heard: 'partial',
    heard_ms: 1000,
    tries: 2,
  });
});

t.test('a retry of a stopped broadcast is final', async (t) => {
  const { trunkId } = await scene();
  const id = await broadcast(db, { calls: 2 });
  const [claimed] = await claim(trunkId, 1);
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  await ledger.endAttempts([end(claimed?.attemptId ?? '', { retryInMs: 0 })]);
  await ledger.settle();
  const outcomes = await rows<{ outcome: string; state: string }>(
    db,
    'select outcome, state from calls order by phone',
  );
  t.same(outcomes, [
    { outcome: 'busy', state: 'done' },
    { outcome: 'stopped', state: 'done' },
  ]);
  t.ok((await one<{ finished_at: Date | null }>(db, 'select finished_at from broadcasts')).finished_at);
});

t.test('expired calls end as what last happened to them, and the broadcast closes', async (t) => {
  const { trunkId } = await scene();
  const id = await broadcast(db, { calls: 2 });
  const [claimed] = await claim(trunkId, 1);
  await ledger.endAttempts([end(claimed?.attemptId ?? '', { retryInMs: 60_000 })]);
  await ledger.settle();
  t.match(await one(db, 'select state from broadcasts'), { state: 'running' });
  await db.query(`update broadcasts set expires_at = now() where id = $1`, [id]);
  await ledger.settle();
  const outcomes = await rows<{ outcome: string }>(db, 'select outcome from calls order by phone');
  t.same(outcomes, [{ outcome: 'busy' }, { outcome: 'expired' }]);
  t.match(await one(db, 'select state from broadcasts'), { state: 'done' });
});

t.test('one bad row does not take the others with it', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db, { calls: 2 });
  const [first, second] = await claim(trunkId, 2);
  await t.rejects(
    ledger.endAttempts([end(first?.attemptId ?? ''), end(second?.attemptId ?? '', { digits: '; drop' })]),
  );
  t.equal(
    (await rows(db, `select from attempts where state = 'ended'`)).length,
    0,
    'a statement is all or nothing',
  );
});

t.test('open attempts are those of the node', async (t) => {
  const { trunkId } = await scene();
  await broadcast(db);
  const [claimed] = await claim(trunkId, 1);
  t.match(await ledger.openAttempts('n1'), [
    { attemptId: claimed?.attemptId, state: 'claimed', answeredAgoMs: null },
  ]);
  t.same(await ledger.openAttempts('n2'), []);
  const ages = await ledger.recentSends(trunkId, 60_000);
  t.equal(ages.length, 1);
  t.ok((ages[0] ?? 1e9) < 10_000);
  t.equal(await maybeOne(db, `select from attempts where state = 'ended'`), undefined);
});
