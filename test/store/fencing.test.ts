import t from 'tap';
import { one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addBroadcast, addTrunk, claimer, emptyQueue, endOf, lend } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
t.beforeEach(() => emptyQueue(db));

t.test('without the lease nothing is claimed', async (t) => {
  const trunkId = await addTrunk(db, 't', 7);
  await addBroadcast(db, { calls: 3 });
  t.same(await claim(trunkId, 1, { fence: 6 }), [], 'an owner of before');
  t.same(await claim(trunkId, 1, { fence: 8 }), [], 'one that is not yet');
  t.match(await claim(trunkId, 1, { fence: 7 }), [{ fence: 7 }]);
  await lend(db, trunkId, 7, '-1 millisecond');
  t.same(await claim(trunkId, 1, { fence: 7 }), [], 'a lease that is over');
  await db.query('delete from trunk_leases');
  t.same(await claim(trunkId, 1, { fence: 7 }), [], 'no lease at all');
});

t.test('a take-over waits for a claim under way, and no claim comes after it', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { calls: 3 });
  const client = await db.connect();
  await client.query('begin');
  t.equal((await claimer(client as unknown as typeof db)(trunkId, 1)).length, 1);
  let over = false;
  const takeOver = lend(db, trunkId, 2).then(() => {
    over = true;
  });
  await db.query('select pg_sleep(0.05)');
  t.equal(over, false);
  await client.query('commit');
  client.release();
  await takeOver;
  t.same(await claim(trunkId, 1, { fence: 1 }), []);
  t.equal((await claim(trunkId, 1, { fence: 2 })).length, 1);
});

t.test('late writes of an earlier fence change nothing', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db);
  const [claimed] = await claim(trunkId, 1);
  await lend(db, trunkId, 2);
  await ledger.adoptAttempts(trunkId, 2);
  const [adopted] = await ledger.openAttempts(trunkId);
  t.match(adopted, { attemptId: claimed?.attemptId, fence: 2, state: 'claimed' });
  const state = () => one(db, 'select state from attempts');
  await ledger.markPlaced([endOf(claimed)]);
  await ledger.markAnswered([endOf(claimed)]);
  await ledger.endAttempts([endOf(claimed)]);
  t.same(await state(), { state: 'claimed' });
  await ledger.adoptAttempts(trunkId, 1);
  t.match(await ledger.openAttempts(trunkId), [{ fence: 2 }], 'and cannot take them back');

  await ledger.markPlaced([endOf(adopted)]);
  t.same(await state(), { state: 'placed' });
  await ledger.markAnswered([endOf(adopted)]);
  t.same(await state(), { state: 'answered' });
  await ledger.endAttempts([endOf(adopted, { outcome: 'heard' })]);
  t.same(await rows(db, 'select state, outcome from calls'), [{ state: 'done', outcome: 'heard' }]);
});
