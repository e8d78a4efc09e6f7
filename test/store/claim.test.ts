import fc from 'fast-check';
import t from 'tap';
import { one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addBroadcast, addTrunk, claimer, emptyQueue, endOf, ZONE } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
t.beforeEach(() => emptyQueue(db));

t.test('a claim writes the attempt before anybody can dial', async (t) => {
  const trunkId = await addTrunk(db);
  const id = await addBroadcast(db, { category: 'general' });
  const [claimed] = await claim(trunkId, 5);
  const attempt = await one<{ seconds: number }>(
    db,
    `select state, number, fence, node, phone, extract(epoch from deadline_at - claimed_at)::float8 as seconds
     from attempts where id = $1`,
    [claimed?.attemptId],
  );
  t.match(attempt, { state: 'claimed', number: 1, fence: 1, node: 'n1', phone: '+13035550001', seconds: 25 });
  t.match(claimed, {
    broadcastId: id,
    trunkId,
    fence: 1,
    node: 'n1',
    urgency: 3,
    phone: '+13035550001',
    callerId: null,
    messageMs: 8000,
    history: { tries: 0, interruptions: 0, trunkFailures: 0 },
  });
  t.same(await claim(trunkId, 5), [], 'and it is not claimed again');
});

t.test('a call for each permit, to its node', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { calls: 5 });
  const claims = await claim(trunkId, 3);
  t.same(
    claims.map(({ phone, node }) => [phone, node]),
    [
      ['+13035550001', 'n1'],
      ['+13035550002', 'n2'],
      ['+13035550003', 'n3'],
    ],
  );
  t.same(
    await rows(db, 'select id as "attemptId", node from attempts order by node'),
    claims.map(({ attemptId, node }) => ({ attemptId, node })),
  );
});

t.test('a more urgent broadcast takes every next permit', async (t) => {
  const trunkId = await addTrunk(db);
  const broadcasts = new Map<string, string>();
  for (const [index, category] of (
    ['survey', 'general', 'attendance', 'schools_out', 'emergency'] as const
  ).entries())
    broadcasts.set(await addBroadcast(db, { category, calls: 2, firstPhone: 1 + 10 * index }), category);
  const claims = await claim(trunkId, 10);
  t.same(
    claims.map(({ broadcastId }) => broadcasts.get(broadcastId)),
    ['emergency', 'schools_out', 'attendance', 'general', 'survey'].flatMap((each) => [each, each]),
  );
  t.same(
    claims.map(({ urgency }) => urgency),
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
  );
});

t.test('not claimed: paused, stopped, held, expired, closed zone, not due', async (t) => {
  const trunkId = await addTrunk(db);
  for (const state of ['paused', 'stopped', 'held', 'done']) await addBroadcast(db, { state });
  await addBroadcast(db, { expires: '-1 second' });
  await addBroadcast(db, { zone: 'Pacific/Honolulu' });
  const later = await addBroadcast(db);
  await db.query(
    `update calls set state = 'waiting', due_at = now() + interval '1 minute' where broadcast_id = $1`,
    [later],
  );
  t.same(await claim(trunkId, 10), []);
  t.ok((await ledger.zones()).includes('Pacific/Honolulu'), 'a zone that only calls have is asked about');
});

t.test('a pause that is committed is seen by every later claim, and waits for one under way', async (t) => {
  const trunkId = await addTrunk(db);
  const id = await addBroadcast(db, { calls: 4 });
  const client = await db.connect();
  await client.query('begin');
  t.equal((await claimer(client as unknown as typeof db)(trunkId, 2)).length, 2);
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

t.test('a broadcast that is being stopped holds up no other', async (t) => {
  const trunkId = await addTrunk(db);
  const stopping = await addBroadcast(db, { category: 'emergency', calls: 5 });
  const other = await addBroadcast(db, { calls: 2, firstPhone: 100 });
  const client = await db.connect();
  await client.query('begin');
  await client.query('select from broadcasts where id = $1 for update', [stopping]);
  t.same(
    (await claim(trunkId, 4)).map(({ broadcastId }) => broadcastId),
    [other, other],
  );
  await client.query('rollback');
  client.release();
  t.equal((await claim(trunkId, 9)).length, 5);
});

t.test('a phone that rings is not rung by a second broadcast', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { calls: 2 });
  const emergency = await addBroadcast(db, { category: 'emergency', calls: 2 });
  const claims = await claim(trunkId, 10);
  t.same(
    claims.map(({ broadcastId }) => broadcastId),
    [emergency, emergency],
  );
  t.same(await claim(trunkId, 10), []);
  const waiting = async () =>
    (await one<{ calls: number }>(db, `select count(*)::int as calls from calls where state = 'waiting'`))
      .calls;
  t.equal(await waiting(), 2, 'put off, out of the way of the next claim');
  await ledger.endAttempts(claims.map((each) => endOf(each, { outcome: 'heard', counted: 'try' })));
  await db.query(`update calls set due_at = now() where state = 'waiting'`);
  t.same(await ledger.settle(), { nextDueMs: null });
  t.equal((await claim(trunkId, 10)).length, 2);
});

t.test('many busy phones at the head hide nobody behind them', async (t) => {
  const trunkId = await addTrunk(db);
  const survey = await addBroadcast(db, { category: 'survey', calls: 90 });
  t.equal((await claim(trunkId, 90)).length, 90);
  await addBroadcast(db, { category: 'emergency', calls: 100 });
  const claims = await claim(trunkId, 10);
  t.equal(claims.length, 10);
  t.notOk(claims.some(({ broadcastId }) => broadcastId === survey));
});

t.test('calls that avoid a trunk do not stand in its way', async (t) => {
  const first = await addTrunk(db, 'first');
  const second = await addTrunk(db, 'second');
  const id = await addBroadcast(db, { calls: 300 });
  await db.query('update calls set avoid_trunks = array[$2::uuid] where broadcast_id = $1 and rank <= 200', [
    id,
    first,
  ]);
  t.same(
    (await claim(first, 2)).map(({ phone }) => phone),
    ['+13035550201', '+13035550202'],
  );
  t.same(
    (await claim(second, 2)).map(({ phone }) => phone),
    ['+13035550001', '+13035550002'],
  );
});

t.test('claims at the same time share nothing and exceed nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 40 }),
      fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 6 }),
      async (calls, limits) => {
        await emptyQueue(db);
        const trunkId = await addTrunk(db);
        await addBroadcast(db, { calls });
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
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await t.rejects(
    db.query(
      `insert into attempts (call_id, trunk_id, node, number, deadline_at, message_ms) values ($1, $2, 'n', 2, now(), 1)`,
      [claimed?.callId, trunkId],
    ),
    { code: '23505' },
  );
});

t.test('a zone that nobody has any more strands no call', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { zone: 'America/Juneau' });
  t.equal((await claim(trunkId, 1, { openZones: await ledger.zones() })).length, 1);
  t.notOk((await ledger.zones()).includes(ZONE) === false);
});
