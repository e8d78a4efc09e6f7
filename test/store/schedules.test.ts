import t from 'tap';
import { systemClock } from '../../engine/clock.ts';
import { runDueSchedules } from '../../engine/jobs/schedule-tick.ts';
import { createLog } from '../../engine/log.ts';
import { rows } from '../../engine/store/db.ts';
import {
  createSchedule,
  getSchedule,
  listSchedules,
  type NewSchedule,
  nextWake,
  updateSchedule,
} from '../../engine/store/schedules.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
t.beforeEach(() => db.query('truncate schedules, broadcasts cascade'));

const log = createLog('silent');
const tickAt = (now: string) =>
  runDueSchedules({ db, log, clock: { ...systemClock, now: () => new Date(now) } });

const attendance: NewSchedule = {
  name: 'Elementary attendance',
  rrule: 'FREQ=DAILY;BYHOUR=13;BYMINUTE=30',
  zone: 'America/Denver',
  category: 'attendance',
  template: 'attendance',
  audience: { kind: 'absent', levels: ['elementary'] },
  validForMinutes: 240,
  enabled: true,
  createdBy: 'office',
};
const create = (now: string, changes: Partial<NewSchedule> = {}) =>
  createSchedule(db, { ...attendance, ...changes, now: new Date(now) });

// As JSON: tap's `match` takes any Date for any other.
const plain = (value: unknown) => JSON.parse(JSON.stringify(value ?? null));

const broadcasts = async (): Promise<Record<string, unknown>[]> =>
  plain(
    await rows(
      db,
      `select title, state, reason, school_date as day, occurrence_at as at, expires_at as expires,
       created_by as "by" from broadcasts order by occurrence_at`,
    ),
  );

t.test('a schedule is stored with its next occurrence', async (t) => {
  const created = await create('2026-09-14T12:00:00Z');
  t.match(plain(created), { ...attendance, nextAt: '2026-09-14T19:30:00.000Z', createdAt: String });
  t.same(await getSchedule(db, created.id), created);
  t.same(await listSchedules(db), [created]);
  t.same(await nextWake(db, new Date('2026-09-14T12:00:00Z')), created.nextAt);
  t.equal(await getSchedule(db, '00000000-0000-0000-0000-000000000000'), undefined);
});

t.test('what cannot work is refused and stores nothing', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z');
  await t.rejects(create('2026-09-14T12:00:00Z'), { code: 'CONFLICT' });
  await t.rejects(create('2026-09-14T12:00:00Z', { name: 'a', zone: 'Denver' }), {
    code: 'SCHEDULE_INVALID',
  });
  await t.rejects(create('2026-09-14T12:00:00Z', { name: 'a', rrule: 'FREQ=SECONDLY' }), {
    code: 'SCHEDULE_INVALID',
  });
  await t.rejects(
    create('2026-09-14T12:00:00Z', { name: 'a', rrule: 'FREQ=DAILY;BYHOUR=9;UNTIL=20260101' }),
    {
      code: 'SCHEDULE_INVALID',
      message: /no occurrence left/,
    },
  );
  await create('2026-09-14T12:00:00Z', { name: 'Other' });
  const now = new Date('2026-09-14T12:00:00Z');
  await t.rejects(updateSchedule(db, id, { name: 'Other', now }), { code: 'CONFLICT' });
  await t.rejects(updateSchedule(db, id, { rrule: 'nonsense', now }), { code: 'SCHEDULE_INVALID' });
  t.match(plain(await getSchedule(db, id)), attendance);
  t.equal((await listSchedules(db)).length, 2);
});

t.test('changes', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z');
  const now = new Date('2026-09-14T20:00:00Z');
  t.match(plain(await updateSchedule(db, id, { name: 'New', validForMinutes: 30, now })), {
    name: 'New',
    validForMinutes: 30,
    nextAt: '2026-09-14T19:30:00.000Z',
  });
  t.match(plain(await updateSchedule(db, id, { enabled: false, now })), { enabled: false, nextAt: null });
  t.match(plain(await updateSchedule(db, id, { enabled: true, now })), {
    nextAt: '2026-09-15T19:30:00.000Z',
  });
  t.match(plain(await updateSchedule(db, id, { zone: 'UTC', now })), { nextAt: '2026-09-15T13:30:00.000Z' });
  t.equal(await updateSchedule(db, '00000000-0000-0000-0000-000000000000', { now }), undefined);
});

t.test('an occurrence makes its broadcast, of its own local day', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z');
  t.same(await tickAt('2026-09-14T19:29:59Z'), []);
  t.equal((await tickAt('2026-09-14T19:30:00Z')).length, 1);
  t.match(await broadcasts(), [
    {
      title: 'Elementary attendance, 2026-09-14',
      state: 'running',
      day: '2026-09-14',
      at: '2026-09-14T19:30:00.000Z',
      expires: '2026-09-15T06:00:00.000Z',
      by: 'office',
    },
  ]);
  t.match(plain(await getSchedule(db, id)), { nextAt: '2026-09-15T19:30:00.000Z' });
  t.same(await tickAt('2026-09-14T19:30:01Z'), []);
});

t.test('an occurrence never runs twice, with four ticks at once', async (t) => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await create('2026-09-14T12:00:00Z', { name });
  const ticks = ['19:30:00', '19:30:01', '19:30:02', '19:30:03'].map((time) => tickAt(`2026-09-14T${time}Z`));
  const created = (await Promise.all(ticks)).flat();
  t.equal(new Set(created).size, 5);
  t.equal(created.length, 5, 'each is handed to one tick');
  t.equal((await broadcasts()).length, 5);
});

t.test('an occurrence is not run again when its time is set back', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z');
  await tickAt('2026-09-14T19:30:00Z');
  await db.query('update schedules set next_at = $2 where id = $1', [id, '2026-09-14T19:30:00Z']);
  t.same(await tickAt('2026-09-14T19:31:00Z'), []);
  t.equal((await broadcasts()).length, 1);
  t.match(plain(await getSchedule(db, id)), { nextAt: '2026-09-15T19:30:00.000Z' });
});

t.test('a missed tick is found: in time it runs, late it is recorded', async (t) => {
  await create('2026-09-14T12:00:00Z', { name: 'in time' });
  await create('2026-09-14T12:00:00Z', { name: 'late', validForMinutes: 60 });
  t.equal((await tickAt('2026-09-14T21:00:00Z')).length, 1);
  const found = await broadcasts();
  t.match(
    found.find(({ title }) => title === 'in time, 2026-09-14'),
    { state: 'running' },
  );
  t.match(
    found.find(({ title }) => title === 'late, 2026-09-14'),
    { state: 'missed', reason: /found 90 min after its time; it was valid for 60 min/ },
  );
});

t.test('after midnight the message is stale, however long it is valid', async (t) => {
  await create('2026-09-14T12:00:00Z', { validForMinutes: 10_000 });
  t.same(await tickAt('2026-09-15T06:00:00Z'), []);
  t.match(await broadcasts(), [{ state: 'missed', day: '2026-09-14' }]);
});

t.test('of several missed occurrences the last is the one that counts', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z');
  t.same((await tickAt('2026-09-20T12:00:00Z')).length, 0);
  t.match(await broadcasts(), [{ state: 'missed', day: '2026-09-19' }]);
  t.match(plain(await getSchedule(db, id)), { nextAt: '2026-09-20T19:30:00.000Z' });
  t.equal((await tickAt('2026-09-22T20:00:00Z')).length, 1);
  t.match(await broadcasts(), [{ day: '2026-09-19' }, { state: 'running', day: '2026-09-22' }]);
});

t.test('13:30 stays 13:30 when the clock changes', async (t) => {
  await create('2026-10-31T00:00:00Z');
  for (const now of ['2026-10-31T19:30:00Z', '2026-11-01T19:30:00Z', '2026-11-01T20:30:00Z'])
    await tickAt(now);
  t.match(await broadcasts(), [
    { at: '2026-10-31T19:30:00.000Z', expires: '2026-11-01T06:00:00.000Z' },
    { at: '2026-11-01T20:30:00.000Z', expires: '2026-11-02T07:00:00.000Z' },
  ]);
});

t.test('a schedule that fails does not hold up the others', async (t) => {
  await create('2026-09-14T12:00:00Z', { name: 'broken' });
  await create('2026-09-14T12:00:00Z', { name: 'whole' });
  await db.query(`update schedules set zone = 'Mars/Olympus' where name = 'broken'`);
  t.equal((await tickAt('2026-09-14T19:30:00Z')).length, 1);
  t.match(await broadcasts(), [{ title: 'whole, 2026-09-14' }]);
});

t.test('a rule that ends, ends', async (t) => {
  const { id } = await create('2026-09-14T12:00:00Z', { rrule: `${attendance.rrule};UNTIL=20260914` });
  t.equal((await tickAt('2026-09-14T19:30:00Z')).length, 1);
  t.match(plain(await getSchedule(db, id)), { nextAt: null });
  t.same(await tickAt('2026-09-15T19:30:00Z'), []);
  const now = new Date('2026-09-16T00:00:00Z');
  t.match(plain(await updateSchedule(db, id, { enabled: false, now })), { enabled: false });
});
