import t from 'tap';
import { one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addBroadcast, addTrunk, claimer, emptyQueue, endOf, NEVER_SENT } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
const CAP = { dailyCap: 2 };
t.beforeEach(() => emptyQueue(db));

/** Calls the one phone so often, each time for another broadcast. */
async function ring(trunkId: string, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await addBroadcast(db, { category: 'attendance' });
    const [claimed] = await claim(trunkId, 1, CAP);
    await ledger.endAttempts([endOf(claimed)]);
  }
}

t.test('over all broadcasts; what lives on tomorrow waits for tomorrow', async (t) => {
  const trunkId = await addTrunk(db);
  await ring(trunkId, 2);
  const id = await addBroadcast(db, { category: 'general', expires: '3 days' });
  t.same(await claim(trunkId, 1, CAP), []);
  const call = await one<{ hours: number }>(
    db,
    `select state, outcome, extract(epoch from due_at - now())::float8 / 3600 as hours,
       to_char(due_at at time zone zone, 'HH24:MI') as at from calls where broadcast_id = $1`,
    [id],
  );
  t.match(call, { state: 'waiting', outcome: null, at: '00:00' });
  t.ok(call.hours > 0 && call.hours <= 25);
  await db.query(`update phones set day = day - 1`);
  await db.query(`update calls set due_at = now() where state = 'waiting'`);
  await ledger.settle();
  t.equal((await claim(trunkId, 1, CAP)).length, 1, 'a new day');
  t.same(await rows(db, 'select calls from phones'), [{ calls: 1 }]);
});

t.test('what does not live so long is over the cap', async (t) => {
  const trunkId = await addTrunk(db);
  await ring(trunkId, 2);
  const id = await addBroadcast(db, { expires: '1 second' });
  t.same(await claim(trunkId, 1, CAP), []);
  t.match(await one(db, 'select state, outcome from calls where broadcast_id = $1', [id]), {
    state: 'done',
    outcome: 'over_cap',
  });
});

t.test('emergencies and schools out are neither held back nor counted', async (t) => {
  const trunkId = await addTrunk(db);
  await ring(trunkId, 2);
  for (const category of ['emergency', 'schools_out', 'emergency'] as const) {
    await addBroadcast(db, { category });
    const [claimed] = await claim(trunkId, 1, CAP);
    t.ok(claimed);
    await ledger.endAttempts([endOf(claimed, { outcome: 'trunk_failure', counted: 'trunk_failure' })]);
  }
  t.same(await rows(db, 'select calls from phones'), [{ calls: 2 }]);
});

t.test('a failed trunk and a call that was never sent are not the parent’s', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { category: 'attendance' });
  for (let time = 0; time < 5; time += 1) {
    const [claimed] = await claim(trunkId, 1, CAP);
    t.ok(claimed);
    await ledger.endAttempts([
      endOf(claimed, time % 2 === 0 ? NEVER_SENT : { counted: 'trunk_failure', retryInMs: 0 }),
    ]);
  }
  t.same(await rows(db, 'select calls from phones'), [{ calls: 0 }]);
});

t.test('two trunks at once do not ring one phone, nor pass the cap together', async (t) => {
  const [one_, two] = [await addTrunk(db, 'one'), await addTrunk(db, 'two')];
  for (let index = 0; index < 20; index += 1) await addBroadcast(db, { category: 'general' });
  let rung = 0;
  for (let round = 0; round < 8; round += 1) {
    const found = (await Promise.all([claim(one_, 3, CAP), claim(two, 3, CAP), claim(one_, 3, CAP)])).flat();
    t.ok(found.length <= 1);
    rung += found.length;
    await ledger.endAttempts(found.map((each) => endOf(each)));
    await db.query(
      `update calls set due_at = now() where state = 'waiting' and due_at < now() + interval '6 seconds'`,
    );
    await ledger.settle();
  }
  t.equal(rung, 2);
});

/** Another lane, with the same midnight. */
const ELSEWHERE = 'America/Boise';

/** Lets one claim be under way, and another one that began before it was committed wait at the same phone. */
async function meet(
  first: (claim: ReturnType<typeof claimer>, ledger: ReturnType<typeof createLedger>) => Promise<void>,
) {
  const trunkId = await addTrunk(db, 'two');
  const client = await db.connect();
  await client.query('begin');
  await first(claimer(client as unknown as typeof db), createLedger(client as unknown as typeof db));
  let over = false;
  const second = claim(trunkId, 1, { ...CAP, openZones: [ELSEWHERE] }).finally(() => {
    over = true;
  });
  await db.query('select pg_sleep(0.05)');
  const waited = !over;
  await client.query('commit');
  client.release();
  return { waited, found: await second };
}

t.test('a claim that could not see the other’s call is turned back at the phone', async (t) => {
  const trunkId = await addTrunk(db);
  await addBroadcast(db, { category: 'attendance' });
  await addBroadcast(db, { category: 'general', zone: ELSEWHERE });
  t.same(await meet(async (claim) => void (await claim(trunkId, 1, CAP))), { waited: true, found: [] });
});

t.test('and one that could not see that the day was full', async (t) => {
  const trunkId = await addTrunk(db);
  await ring(trunkId, 1);
  await addBroadcast(db, { category: 'attendance' });
  await addBroadcast(db, { category: 'general', zone: ELSEWHERE });
  const met = await meet(async (claim, ledger) => {
    const claims = await claim(trunkId, 1, CAP);
    await ledger.endAttempts(claims.map((each) => endOf(each)));
  });
  t.same(met, { waited: true, found: [] });
  t.same(await rows(db, 'select calls from phones'), [{ calls: 2 }]);
});
