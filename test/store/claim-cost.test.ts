import t from 'tap';
import { testDatabase } from '../support/database.ts';
import { addTrunk, emptyQueue } from '../support/queue.ts';
import { fillQueue, median, timeClaims } from '../support/queue-fill.ts';

const { db } = await testDatabase(t);
/** Beyond this a claim reads more when there is more; what the machine does meanwhile is within it. */
const FLAT = 3;

t.test('what was planned while there was next to nothing is no burden later', async (t) => {
  await emptyQueue(db);
  const trunkId = await addTrunk(db);
  await fillQueue(db, { calls: 12 });
  await db.query('vacuum analyze');
  await timeClaims(db, trunkId, { rounds: 12, limit: 1 });
  await fillQueue(db, { calls: 100_000, sites: 20, firstPhone: 1e7 });
  const { ms, claimed } = await timeClaims(db, trunkId, { rounds: 20 });
  t.equal(claimed, 600);
  t.comment(`30 calls in ${median(ms).toFixed(2)} ms`);
  t.ok(median(ms) < 100, 'one scan of the table for each call would be seconds');
});

t.test('a claim costs the same with 10,000 ready calls and with 200,000', async (t) => {
  await emptyQueue(db);
  const trunkId = await addTrunk(db);
  await fillQueue(db, { calls: 10_000, sites: 20 });
  await timeClaims(db, trunkId, { rounds: 10 });
  const few = await timeClaims(db, trunkId);
  await fillQueue(db, { calls: 190_000, sites: 20, firstPhone: 1e7 });
  await timeClaims(db, trunkId, { rounds: 10 });
  const many = await timeClaims(db, trunkId);
  t.comment(`30 calls in ${median(few.ms).toFixed(2)} ms and in ${median(many.ms).toFixed(2)} ms`);
  t.same([few.claimed, many.claimed], [1_500, 1_500]);
  t.ok(median(many.ms) < FLAT * median(few.ms));
});

t.test('nor do calls that may not be taken add to it', async (t) => {
  await emptyQueue(db);
  const trunkId = await addTrunk(db);
  await fillQueue(db, { calls: 10_000, sites: 20 });
  await timeClaims(db, trunkId, { rounds: 10 });
  const alone = await timeClaims(db, trunkId);
  await fillQueue(db, { calls: 50_000, firstPhone: 1e7, zone: 'Pacific/Honolulu' });
  await fillQueue(db, { calls: 50_000, firstPhone: 2e7, avoidTrunks: [trunkId] });
  await fillQueue(db, { calls: 50_000, firstPhone: 3e7, state: 'waiting' });
  await timeClaims(db, trunkId, { rounds: 10 });
  const among = await timeClaims(db, trunkId);
  t.comment(`30 calls in ${median(alone.ms).toFixed(2)} ms and in ${median(among.ms).toFixed(2)} ms`);
  t.same([alone.claimed, among.claimed], [1_500, 1_500]);
  t.ok(median(among.ms) < FLAT * median(alone.ms));
});
