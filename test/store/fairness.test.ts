import t from 'tap';
import type { Audience } from '../../engine/domain/audience.ts';
import type { Claim } from '../../engine/domain/ledger.ts';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import { planAudience } from '../../engine/store/audience.ts';
import { createBroadcast } from '../../engine/store/broadcasts.ts';
import { one } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addTrunk, claimer, emptyQueue, endOf, HASH, ZONE } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);

/** A school and its students, each with a phone of the given area code. */
async function school(
  code: string,
  students: number,
  area: string,
  zone: string | null = null,
): Promise<void> {
  await db.query(
    `with site as (insert into sites (code, name, level, zone) values ($1, $1, 'other', $4) returning id),
      student as (
        insert into students (sis_id, site_id, first_name, last_name, grade, language)
        select $1 || n, site.id, 'First', 'Last', '1', 'en' from site, generate_series(1, $2::integer) n
        returning id, substr(sis_id, length($1) + 1) as n)
     insert into contact_points (student_id, owner, kind, phone)
     select id, 'home', 'primary', '+1' || $3 || lpad(n, 7, '0') from student`,
    [code, students, area, zone],
  );
}

/** Plans a broadcast to these schools and gives it its audio; gives its id. */
async function send(sites: string[]): Promise<string> {
  const audience: Audience = { kind: 'students', sites };
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category: 'general',
    template: 'message',
    message: null,
    audience,
    schoolDate: '2026-09-14',
    expiresAt: new Date(Date.now() + 3_600_000),
    state: 'running',
    createdBy: 'test',
  });
  await planAudience(db, broadcast, { zone: ZONE, policy: DEFAULT_POLICY });
  await db.query(
    `update calls set prompt_hash = $2, state = 'ready' where broadcast_id = $1 and state = 'planned'`,
    [broadcast.id, HASH],
  );
  return broadcast.id;
}

/** Dials so many calls, ten at a time, as a dialer with its chores does. */
async function dial(trunkId: string, count: number, openZones = [ZONE]): Promise<Claim[]> {
  const claims: Claim[] = [];
  while (claims.length < count) {
    const found = await claim(trunkId, 10, { openZones });
    await ledger.settle();
    await ledger.endAttempts(found.map((each) => endOf(each)));
    claims.push(...found);
    if (found.length < 10) break;
  }
  return claims;
}

const ofArea = (claims: Claim[], area: string): number =>
  claims.filter(({ phone }) => phone.startsWith(`+1${area}`)).length;

t.beforeEach(() => emptyQueue(db));

t.test('a small school is through after twice its calls, however large the other', async (t) => {
  const trunkId = await addTrunk(db);
  await school('LARGE', 2_000, '303');
  await school('SMALL', 20, '720');
  await send(['LARGE', 'SMALL']);
  const claims = await dial(trunkId, 40);
  t.equal(ofArea(claims, '720'), 20);
  t.equal(ofArea(claims, '303'), 20);
  t.equal((await one<{ ranks: number }>(db, 'select max(rank) as ranks from calls')).ranks, 2_000);
});

t.test(
  'a broadcast that comes later shares from then on: it waits for nobody, and nobody for it',
  async (t) => {
    const trunkId = await addTrunk(db);
    await school('LARGE', 600, '303');
    await school('SMALL', 40, '720');
    await send(['LARGE']);
    t.equal(ofArea(await dial(trunkId, 200), '303'), 200);
    await send(['SMALL']);
    const claims = await dial(trunkId, 60);
    const small = ofArea(claims, '720');
    t.ok(small >= 25 && small <= 35, `${small} of 60`);
  },
);

t.test('one that was paused does not make up for it', async (t) => {
  const trunkId = await addTrunk(db);
  await school('ONE', 600, '303');
  await school('TWO', 600, '720');
  const paused = await send(['ONE']);
  await send(['TWO']);
  await db.query(`update broadcasts set state = 'paused' where id = $1`, [paused]);
  t.equal(ofArea(await dial(trunkId, 200), '720'), 200);
  await db.query(`update broadcasts set state = 'running' where id = $1`, [paused]);
  const claims = await dial(trunkId, 100);
  const resumed = ofArea(claims, '303');
  t.ok(resumed >= 40 && resumed <= 75, `${resumed} of 100`);
});

t.test('a zone that opens later does not either', async (t) => {
  const trunkId = await addTrunk(db);
  await school('EAST', 600, '303');
  await school('WEST', 600, '808', 'Pacific/Honolulu');
  await send(['EAST', 'WEST']);
  t.equal(ofArea(await dial(trunkId, 200), '303'), 200);
  const claims = await dial(trunkId, 100, [ZONE, 'Pacific/Honolulu']);
  const west = ofArea(claims, '808');
  t.ok(west >= 40 && west <= 75, `${west} of 100`);
});

t.test('retries come first', async (t) => {
  const trunkId = await addTrunk(db);
  await school('ONE', 200, '303');
  await send(['ONE']);
  const [first] = await claim(trunkId, 1);
  await ledger.endAttempts([endOf(first, { retryInMs: 60_000 })]);
  await dial(trunkId, 50);
  await db.query(`update calls set due_at = now() where state = 'waiting'`);
  await ledger.settle();
  t.match(await claim(trunkId, 1), [{ callId: first?.callId }]);
});
