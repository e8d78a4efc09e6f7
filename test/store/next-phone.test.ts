import t from 'tap';
import { type Policy, policySchema } from '../../engine/domain/policy.ts';
import { planAudience } from '../../engine/store/audience.ts';
import { createBroadcast } from '../../engine/store/broadcasts.ts';
import { one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { composePage, promptRendered } from '../../engine/store/prompts.ts';
import { testDatabase } from '../support/database.ts';
import { addTrunk, claimer, emptyQueue, endOf, HASH, ZONE } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
const policy: Policy = policySchema.parse({ oneAtATime: ['schools_out'] });
const NO_ANSWER = { outcome: 'no_answer' } as const;
const HEARD = { outcome: 'heard', heard: 'full', heardMs: 8000 } as const;

/** Plans a call to the families; `Ann: '1 2'` has 1 at home and 2 as the main contact's mobile. */
async function send(students: Record<string, string>): Promise<string> {
  await emptyQueue(db);
  await db.query(`insert into sites (code, name, level) values ('S', 'S', 'other')`);
  for (const [name, phones] of Object.entries(students))
    await db.query(
      `with student as (insert into students (sis_id, site_id, first_name, last_name, grade, language)
         select $1, id, $1, 'X', '1', 'en' from sites returning id)
       insert into contact_points (student_id, owner, kind, phone)
       select id, owner, kind, '+1303555000' || number from student, unnest($2::text[],
         '{home,home,main,secondary}'::text[], '{primary,secondary,mobile,work}'::text[]) as p (number, owner, kind)
       where number is not null`,
      [name, phones.split(' ')],
    );
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category: 'schools_out',
    template: 'message',
    message: null,
    audience: { kind: 'students' },
    schoolDate: '2026-09-14',
    expiresAt: new Date(Date.now() + 3_600_000),
    state: 'running',
    createdBy: 'test',
  });
  await planAudience(db, broadcast, { zone: ZONE, policy });
  await composePage(db, broadcast.id, { limit: 100, named: false }, () => ({
    hash: HASH,
    language: 'en',
    text: 'text',
  }));
  await promptRendered(db, HASH, 8000);
  await ledger.settle();
  return broadcast.id;
}

/** Claims all there is, and ends it so; gives the last digits of the phones. */
async function ring(trunkId: string, how: Parameters<typeof endOf>[1]): Promise<string> {
  const claims = await claim(trunkId, 20);
  await ledger.endAttempts(claims.map((each) => endOf(each, how)));
  await ledger.settle();
  return claims
    .map(({ phone }) => phone.at(-1))
    .sort()
    .join(' ');
}

const outcomes = async () =>
  (
    await rows<{ line: string }>(
      db,
      `select right(phone, 1) || ' ' || state || ' ' || coalesce(outcome, '-') as line from calls order by phone`,
    )
  ).map(({ line }) => line);

t.test('no answer goes on to the next phone at once, until one is reached', async (t) => {
  await send({ Ann: '3 1 2' });
  const trunkId = await addTrunk(db);
  t.same(
    await rows(
      db,
      'select right(phone, 1) as phone, position from call_recipients join calls on calls.id = call_id order by 2',
    ),
    [
      { phone: '3', position: 1 },
      { phone: '1', position: 2 },
      { phone: '2', position: 3 },
    ],
  );
  t.equal(await ring(trunkId, { ...NO_ANSWER, retryInMs: 60_000 }), '3');
  t.equal(await ring(trunkId, NO_ANSWER), '', 'it has its tries first');
  await db.query(`update calls set due_at = now() where due_at < 'infinity' and state = 'waiting'`);
  await ledger.settle();
  t.equal(await ring(trunkId, NO_ANSWER), '3');
  t.equal(await ring(trunkId, HEARD), '1');
  t.equal(await ring(trunkId, HEARD), '');
  t.same(await outcomes(), ['1 done heard', '2 done not_needed', '3 done no_answer']);
  t.match(await one(db, 'select state from broadcasts'), { state: 'done' });
});

t.test('a phone that siblings share rings when the first of them comes to it', async (t) => {
  await send({ Ann: '1 2 3', Ben: '2 3' });
  const trunkId = await addTrunk(db);
  t.equal(await ring(trunkId, NO_ANSWER), '1 2');
  t.equal(await ring(trunkId, HEARD), '3');
});

t.test('it is needed until each of its students was reached', async (t) => {
  await send({ Ann: '1 3', Ben: '2 3' });
  const trunkId = await addTrunk(db);
  const claims = await claim(trunkId, 20);
  const [first, second] = claims.sort((one, two) => one.phone.localeCompare(two.phone));
  await ledger.endAttempts([endOf(first, HEARD)]);
  await ledger.settle();
  t.equal(await ring(trunkId, HEARD), '', 'Ben is still being called');
  await ledger.endAttempts([endOf(second, NO_ANSWER)]);
  await ledger.settle();
  t.equal(await ring(trunkId, HEARD), '3');
});

t.test('a phone without audio holds nobody up, and a stop ends those that wait', async (t) => {
  const id = await send({ Ann: '1 2', Ben: '3 4' });
  await db.query(
    `update calls set state = 'done', outcome = 'no_audio', finished_at = now() where phone like '%1'`,
  );
  await ledger.settle();
  const trunkId = await addTrunk(db);
  t.equal(await ring(trunkId, NO_ANSWER), '2 3');
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  await ledger.settle();
  t.same(await outcomes(), ['1 done no_audio', '2 done no_answer', '3 done no_answer', '4 done stopped']);
});

t.test('where nothing is said, all phones ring at once', async (t) => {
  await send({ Ann: '1 2 3' });
  await db.query('truncate broadcasts cascade');
  const trunkId = await addTrunk(db);
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category: 'emergency_school_hours',
    template: 'message',
    message: null,
    audience: { kind: 'students' },
    schoolDate: '2026-09-14',
    expiresAt: new Date(Date.now() + 3_600_000),
    state: 'running',
    createdBy: 'test',
  });
  await planAudience(db, broadcast, { zone: ZONE, policy });
  await db.query(`update calls set state = 'ready', prompt_hash = $1`, [HASH]);
  t.equal(await ring(trunkId, HEARD), '1 2 3');
});
