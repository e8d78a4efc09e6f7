/** An audience is planned in pieces: what happens between two of them. */
import t from 'tap';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import { planAudience, planChunk } from '../../engine/store/audience.ts';
import {
  actOnBroadcast,
  type Broadcast,
  createBroadcast,
  getBroadcast,
} from '../../engine/store/broadcasts.ts';
import { one } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addTrunk, claimer, emptyQueue, HASH, ZONE } from '../support/queue.ts';

const { db } = await testDatabase(t);
const RULES = { zone: ZONE, policy: DEFAULT_POLICY };
const STUDENTS = 1_200;

async function school(): Promise<Broadcast> {
  await emptyQueue(db);
  await db.query(`insert into sites (code, name, level) values ('S', 'S', 'other'), ('T', 'T', 'other')`);
  await db.query(
    `with student as (
       insert into students (sis_id, site_id, first_name, last_name, grade, language)
       select n, (select id from sites where code = case when n % 4 = 0 then 'T' else 'S' end), 'A', 'B', '1', 'en'
       from generate_series(1, $1::integer) n returning id, sis_id)
     insert into contact_points (student_id, owner, kind, phone)
     select id, 'home', 'primary', '+1303' || lpad(sis_id, 7, '0') from student where sis_id <> '7'`,
    [STUDENTS],
  );
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category: 'general',
    template: 'message',
    message: null,
    audience: { kind: 'students' },
    schoolDate: '2026-09-14',
    expiresAt: new Date(Date.now() + 3_600_000),
    state: 'running',
    createdBy: 'test',
  });
  return broadcast;
}

const count = async (query: string) => (await one<{ n: number }>(db, `select count(*)::int as n ${query}`)).n;

t.test('the first calls can go while the rest is planned, and a killed preparation goes on', async (t) => {
  const broadcast = await school();
  t.equal(await planChunk(db, broadcast, RULES), true);
  t.equal(await count('from calls'), 500);
  t.equal((await getBroadcast(db, broadcast.id))?.preparedAt, null);
  await db.query(`update calls set state = 'ready', prompt_hash = $1`, [HASH]);
  t.equal((await claimer(db)(await addTrunk(db), 5)).length, 5);
  await createLedger(db).settle();
  t.match(await getBroadcast(db, broadcast.id), { state: 'running' }, 'it is not taken for done');

  const sizes = await Promise.all([1, 2, 3].map(() => planAudience(db, broadcast, RULES)));
  for (const size of sizes) t.same(size, { calls: STUDENTS, recipients: STUDENTS });
  t.equal(await count(`from calls where outcome = 'no_number'`), 1);
  t.same(
    await one(
      db,
      `select count(distinct phone)::int as phones, max(rank)::int as ranks from calls where phone is not null`,
    ),
    { phones: STUDENTS - 1, ranks: 900 - 1 },
    'ranks go on from chunk to chunk',
  );
  t.equal(await count('from preparations'), 0);
});

t.test('a stop ends it', async (t) => {
  const broadcast = await school();
  await planChunk(db, broadcast, RULES);
  t.equal(await actOnBroadcast(db, broadcast.id, 'stop'), 'stopped');
  t.equal(await planChunk(db, broadcast, RULES), false);
  t.equal(await count(`from calls where outcome = 'stopped'`), 500);
  t.equal(await count('from calls'), 500);
  t.equal(await count('from preparations'), 0);
  t.ok((await getBroadcast(db, broadcast.id))?.finishedAt);
});

t.test('a stop is waited for, and undoes the chunk that it met', async (t) => {
  const broadcast = await school();
  await planChunk(db, broadcast, RULES);
  const client = await db.connect();
  await client.query('begin');
  await client.query(`select from broadcasts where id = $1 for no key update`, [broadcast.id]);
  const chunk = planChunk(db, broadcast, RULES);
  await client.query(`update broadcasts set state = 'stopped' where id = $1`, [broadcast.id]);
  await client.query('commit');
  client.release();
  t.equal(await chunk, false);
  t.equal(await count('from calls'), 500);
});

t.test('a phone that the SIS changes meanwhile is called all the same', async (t) => {
  const broadcast = await school();
  await planChunk(db, broadcast, RULES);
  await db.query(`update contact_points set phone = '+13030000000' where phone = '+13030001200'`);
  t.same(await planAudience(db, broadcast, RULES), { calls: STUDENTS, recipients: STUDENTS });
  t.equal(await count(`from calls where phone = '+13030000000'`), 1);
});

t.test('who hears what others heard is ready at once', async (t) => {
  const broadcast = await school();
  const { site } = await one<{ site: string }>(db, `select id as site from sites where code = 'S'`);
  await planChunk(db, broadcast, RULES, { [`en ${site}`]: HASH, 'en nobody': 'f'.repeat(64) });
  t.equal(await count(`from calls where state = 'ready' and prompt_hash = '${HASH}'`), 375);
  t.equal(await count(`from calls where state = 'planned' and prompt_hash is null`), 125);
});
