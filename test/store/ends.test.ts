import t from 'tap';
import { one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addBroadcast, addTrunk, claimer, emptyQueue, endOf, NEVER_SENT } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
t.beforeEach(() => emptyQueue(db));

const call = (columns: string) => one(db, `select ${columns} from calls`);
const TRUNK_FAILED = {
  outcome: 'trunk_failure',
  counted: 'trunk_failure',
  sipCode: 503,
  reroute: true,
} as const;

t.test('an end is taken once', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(claimed, { retryInMs: 0 })]);
  await ledger.endAttempts([endOf(claimed, { outcome: 'confirmed', retryInMs: null })]);
  t.same(await call('state, outcome, tries'), { state: 'ready', outcome: 'busy', tries: 1 });
  await ledger.markAnswered([endOf(claimed)]);
  t.match(await one(db, 'select state from attempts'), { state: 'ended' }, 'late events change nothing');
});

t.test('a retry waits until it is due', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(claimed, { retryInMs: 60_000 })]);
  t.same(await call('state, outcome'), { state: 'waiting', outcome: 'busy' });
  const { nextDueMs } = await ledger.settle();
  t.ok(nextDueMs !== null && nextDueMs > 50_000 && nextDueMs <= 60_000, `${nextDueMs}`);
  t.same(await claim(trunkId, 1), []);
  await db.query('update calls set due_at = now()');
  t.same(await ledger.settle(), { nextDueMs: null });
  t.equal((await claim(trunkId, 1)).length, 1);
});

t.test('what was never sent changes no outcome, and of two ends the first counts', async (t) => {
  const trunkId = await addTrunk(db);
  const id = await addBroadcast(db);
  const [first] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(first, { retryInMs: 0 })]);
  const [second] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(second, NEVER_SENT)]);
  t.same(await call('state, outcome, tries'), { state: 'ready', outcome: 'busy', tries: 1 });
  const [third] = await claim(trunkId, 1);
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  await ledger.endAttempts([endOf(third, NEVER_SENT)]);
  t.same(await call('state, outcome'), { state: 'done', outcome: 'busy' });
});

t.test('an answer is not overwritten by a later busy', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [first] = await claim(trunkId, 1);
  await ledger.endAttempts([
    endOf(first, { outcome: 'partial', heard: 'partial', heardMs: 1000, retryInMs: 0 }),
  ]);
  const [second] = await claim(trunkId, 1);
  t.match(second?.history, { tries: 1 });
  await ledger.endAttempts([endOf(second)]);
  t.same(await call('state, outcome, heard, heard_ms, tries'), {
    state: 'done',
    outcome: 'partial',
    heard: 'partial',
    heard_ms: 1000,
    tries: 2,
  });
});

t.test('a retry of a stopped broadcast is final', async (t) => {
  const trunkId = await addTrunk(db);
  const id = await addBroadcast(db, { calls: 2 });
  const [claimed] = await claim(trunkId, 1);
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  await ledger.endAttempts([endOf(claimed, { retryInMs: 0 })]);
  await ledger.settle();
  t.same(await rows(db, 'select outcome, state from calls order by phone'), [
    { outcome: 'busy', state: 'done' },
    { outcome: 'stopped', state: 'done' },
  ]);
  t.ok((await one<{ finished_at: Date | null }>(db, 'select finished_at from broadcasts')).finished_at);
});

t.test('expired calls end as what last happened to them, and the broadcast closes', async (t) => {
  const trunkId = await addTrunk(db);
  const id = await addBroadcast(db, { calls: 3 });
  const [claimed] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(claimed, { retryInMs: 60_000 })]);
  await db.query(`update calls set state = 'planned' where rank = 3`);
  await ledger.settle();
  t.match(await one(db, 'select state from broadcasts'), { state: 'running' });
  await db.query(`update broadcasts set expires_at = now() where id = $1`, [id]);
  await ledger.settle();
  t.same(await rows(db, 'select outcome from calls order by phone'), [
    { outcome: 'busy' },
    { outcome: 'expired' },
    { outcome: 'expired' },
  ]);
  t.match(await one(db, 'select state from broadcasts'), { state: 'done' });
  t.same(await rows(db, 'select from lanes'), [], 'its queues are gone');
});

t.test('one bad row does not take the others with it', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { calls: 2 });
  const [first, second] = await claim(trunkId, 2);
  await t.rejects(ledger.endAttempts([endOf(first), endOf(second, { digits: '; drop' })]));
  t.equal(
    (await rows(db, `select from attempts where state = 'ended'`)).length,
    0,
    'a statement is all or nothing',
  );
});

t.test('a failed trunk: at once by another one, each in turn, then after a wait by any', async (t) => {
  const one_ = await addTrunk(db, 'one');
  const two = await addTrunk(db, 'two');
  await addBroadcast(db);
  const [first] = await claim(one_, 1);
  await ledger.endAttempts([endOf(first, { ...TRUNK_FAILED, retryInMs: 10_000 })]);
  t.same(await call('state, outcome, trunk_failures, tries, avoid_trunks'), {
    state: 'ready',
    outcome: 'trunk_failure',
    trunk_failures: 1,
    tries: 0,
    avoid_trunks: [one_],
  });
  t.same(await claim(one_, 1), []);
  const [second] = await claim(two, 1);
  t.match(second, { trunkId: two, history: { trunkFailures: 1 } });
  await ledger.endAttempts([endOf(second, { ...TRUNK_FAILED, retryInMs: 20_000 })]);
  t.same(await call('state, avoid_trunks'), { state: 'waiting', avoid_trunks: [] });
  await db.query('update calls set due_at = now()');
  await ledger.settle();
  t.equal((await claim(one_, 1)).length, 1);
});

t.test('another trunk counts only if it is active, not broken and not avoided', async (t) => {
  for (const change of [`state = 'paused'`, `state = 'draining'`, `state = 'refused'`, `breaker = 'open'`]) {
    await emptyQueue(db);
    const trunkId = await addTrunk(db, 'one');
    await addTrunk(db, 'two');
    await db.query(`update trunks set ${change} where name = 'two'`);
    await addBroadcast(db, { calls: 2 });
    const [first, second] = await claim(trunkId, 2);
    await ledger.endAttempts([
      endOf(first, { ...TRUNK_FAILED, retryInMs: 10_000 }),
      endOf(second, { ...TRUNK_FAILED, retryInMs: null }),
    ]);
    t.same(
      await rows(db, 'select state, outcome, avoid_trunks from calls order by rank'),
      [
        { state: 'waiting', outcome: 'trunk_failure', avoid_trunks: [] },
        { state: 'done', outcome: 'trunk_failure', avoid_trunks: [] },
      ],
      change,
    );
  }
});

t.test('a number that this trunk may not dial goes to the next, and is barred when none may', async (t) => {
  const one_ = await addTrunk(db, 'one');
  const two = await addTrunk(db, 'two');
  await addBroadcast(db);
  const barred = {
    outcome: 'barred',
    counted: 'nothing',
    sipCode: null,
    cause: null,
    reroute: true,
  } as const;
  for (const trunkId of [one_, two]) {
    const [claimed] = await claim(trunkId, 1);
    await ledger.endAttempts([endOf(claimed, barred)]);
  }
  t.same(await call('state, outcome, tries, trunk_failures'), {
    state: 'done',
    outcome: 'barred',
    tries: 0,
    trunk_failures: 0,
  });
});

t.test('calls that failed with the whole trunk count as nothing', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(claimed, { ...TRUNK_FAILED, counted: 'nothing', retryInMs: 10_000 })]);
  t.same(await call('state, outcome, trunk_failures, tries'), {
    state: 'waiting',
    outcome: 'trunk_failure',
    trunk_failures: 0,
    tries: 0,
  });
});

t.test('open attempts are those of the trunk, on any node', async (t) => {
  const trunkId = await addTrunk(db);
  const other = await addTrunk(db, 'other');
  await addBroadcast(db, { calls: 2 });
  const [first, second] = await claim(trunkId, 2);
  const open = await ledger.openAttempts(trunkId);
  t.match(
    open.sort((one, two) => one.node.localeCompare(two.node)),
    [
      { ...first, state: 'claimed', answeredAgoMs: null, deadlineInMs: Number },
      { ...second, node: 'n2' },
    ],
  );
  t.ok((open[0]?.deadlineInMs ?? 0) > 20_000 && (open[0]?.deadlineInMs ?? 0) <= 25_000);
  t.same(await ledger.openAttempts(other), []);
  const ages = await ledger.recentSends(trunkId, 60_000);
  t.equal(ages.length, 2);
  t.ok((ages[0] ?? 1e9) < 10_000);
});
