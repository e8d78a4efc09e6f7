import { createHash } from 'node:crypto';
import t from 'tap';
import {
  actOnBroadcast,
  createBroadcast,
  getBroadcast,
  type NewBroadcast,
} from '../../engine/store/broadcasts.ts';
import { inTransaction, one } from '../../engine/store/db.ts';
import { callsByOutcome, queueDepth } from '../../engine/store/metrics.ts';
import { plan } from '../support/api.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const NEW: NewBroadcast = {
  title: 'Attendance',
  category: 'attendance',
  template: 'attendance',
  message: null,
  audience: { kind: 'absent' },
  schoolDate: '2026-09-14',
  expiresAt: new Date('2026-09-15T06:00:00Z'),
  state: 'running',
  createdBy: 'schedule',
};
const hash = (text: string) => createHash('sha256').update(text).digest();
const schedule = async () =>
  (
    await one<{ id: string }>(
      db,
      `insert into schedules (name, rrule, zone, category, template, audience, created_by)
       values (gen_random_uuid(), 'x', 'America/Denver', 'attendance', 'attendance', '{}', 'a test') returning id`,
    )
  ).id;

t.test('what is created is what is read', async (t) => {
  const { broadcast, created } = await createBroadcast(db, NEW);
  t.equal(created, true);
  t.same(await getBroadcast(db, broadcast.id), broadcast);
  t.match(broadcast, {
    ...NEW,
    urgency: 2,
    reason: null,
    scheduleId: null,
    preparedAt: null,
    finishedAt: null,
  });
  t.equal((await createBroadcast(db, NEW)).created, true, 'without a key each is a new one');
});

t.test('an occurrence never gives two, also not at once', async (t) => {
  const occurrence = { ...NEW, scheduleId: await schedule(), occurrenceAt: new Date('2026-09-14T19:30:00Z') };
  const results = await Promise.all(Array.from({ length: 8 }, () => createBroadcast(db, occurrence)));
  t.equal(results.filter(({ created }) => created).length, 1);
  t.equal(new Set(results.map(({ broadcast }) => broadcast.id)).size, 1);
  const next = { ...occurrence, occurrenceAt: new Date('2026-09-15T19:30:00Z') };
  t.equal((await createBroadcast(db, next)).created, true);
});

t.test('a missed occurrence is over from the start, and says why', async (t) => {
  const scheduleId = await schedule();
  const { broadcast } = await createBroadcast(db, {
    ...NEW,
    scheduleId,
    occurrenceAt: new Date(),
    state: 'missed',
    reason: 'found 5 hours late',
  });
  t.match(broadcast, { state: 'missed', reason: 'found 5 hours late', startedAt: null, finishedAt: Date });
});

t.test('one key, one broadcast; another request is refused', async (t) => {
  const keyed = { ...NEW, idempotencyKey: 'k', requestHash: hash('a') };
  const first = await createBroadcast(db, keyed);
  const again = await createBroadcast(db, keyed);
  t.same([first.created, again.created], [true, false]);
  t.same(again.broadcast, first.broadcast);
  await t.rejects(createBroadcast(db, { ...keyed, requestHash: hash('b') }), {
    code: 'IDEMPOTENCY_MISMATCH',
    details: { broadcast: first.broadcast.id },
  });
});

t.test('inside a transaction it is undone with it', async (t) => {
  const keyed = { ...NEW, idempotencyKey: 'undone', requestHash: hash('a') };
  await t.rejects(
    inTransaction(db, async (tx) => {
      await createBroadcast(tx, keyed);
      throw new Error('no');
    }),
  );
  t.equal((await createBroadcast(db, keyed)).created, true);
});

t.test('a stop and a claim that meet: the claim first, or nothing', async (t) => {
  const { broadcast } = await createBroadcast(db, NEW);
  const call = await plan(db, { broadcast: broadcast.id });
  const claim = await db.connect();
  await claim.query('begin');
  await claim.query('select from broadcasts where id = $1 for share', [broadcast.id]);
  await claim.query(`update calls set state = 'dialing' where id = $1`, [call]);
  const stop = actOnBroadcast(db, broadcast.id, 'stop');
  await claim.query('commit');
  claim.release();
  t.equal(await stop, 'stopped');
  const { state } = await one<{ state: string }>(db, 'select state from calls where id = $1', [call]);
  t.equal(state, 'dialing', 'the claimed call is not ended under the dialer');
  t.equal((await getBroadcast(db, broadcast.id))?.finishedAt, null);
  const late = await one<{ count: number }>(
    db,
    `select count(*) from broadcasts where id = $1 and state = 'running'`,
    [broadcast.id],
  );
  t.equal(late.count, 0, 'and a later claim finds no running broadcast');
});

t.test('what waits and what became of the rest, for the metrics', async (t) => {
  await db.query('delete from calls');
  const { broadcast: one } = await createBroadcast(db, NEW);
  const { broadcast: two } = await createBroadcast(db, { ...NEW, category: 'survey' });
  await plan(db, { broadcast: one.id });
  await plan(db, { broadcast: one.id });
  await plan(db, { broadcast: two.id, state: 'planned' });
  await plan(db, { broadcast: two.id, state: 'dialing' });
  await plan(db, { broadcast: two.id, state: 'done', outcome: 'busy' });
  const sorted = <T>(found: T[]) => found.map((each) => JSON.stringify(each)).sort();
  t.same(
    sorted(await queueDepth(db)),
    sorted([
      { category: 'attendance', state: 'ready', calls: 2 },
      { category: 'survey', state: 'planned', calls: 1 },
    ]),
  );
  t.same(await callsByOutcome(db, { since: new Date(Date.now() - 60_000) }), [
    { category: 'survey', outcome: 'busy', calls: 1 },
  ]);
  t.same(await callsByOutcome(db, { since: new Date(Date.now() + 60_000) }), []);
});
