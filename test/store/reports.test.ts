import t from 'tap';
import { one } from '../../engine/store/db.ts';
import { putSite } from '../../engine/store/district.ts';
import { trackingLines, trackingPage } from '../../engine/store/reports.ts';
import { plan, storedBroadcast } from '../support/api.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const DATE = '2026-09-14';
for (const code of ['B', 'A'])
  await putSite(db, { code, name: code, level: 'other', zone: null, callbackPhone: null, callerId: null });
const { id: broadcast } = await storedBroadcast(db);
for (let n = 0; n < 1_100; n++) await plan(db, { broadcast, sites: n % 2 === 0 ? ['A'] : ['B'] });

const collect = async () => {
  const batches: number[] = [];
  const lines: string[] = [];
  for await (const batch of trackingLines(db, { date: DATE })) {
    batches.push(batch.length);
    lines.push(...batch.map(({ site, callId }) => `${site} ${callId}`));
  }
  return { batches, lines };
};

t.test('all lines come in batches, in the order of the pages', async (t) => {
  const { batches, lines } = await collect();
  t.same(batches, [500, 500, 100]);
  t.same(lines, [...lines].sort());
  const page = await trackingPage(db, { date: DATE, limit: 2_000 });
  t.same(
    page.lines.map(({ site, callId }) => `${site} ${callId}`),
    lines,
  );
  t.equal(page.next, undefined);
});

t.test('it reads one moment, whatever is written meanwhile', async (t) => {
  const reader = trackingLines(db, { date: DATE });
  await reader.next();
  await db.query(`delete from calls where id in (select id from calls order by id desc limit 600)`);
  let lines = 500;
  for await (const batch of reader) lines += batch.length;
  t.equal(lines, 1_100);
  t.equal((await collect()).lines.length, 500);
});

t.test('a reader that stops gives its connection back', async (t) => {
  for (let n = 0; n < 20; n++) {
    const reader = trackingLines(db, { date: DATE });
    await reader.next();
    await reader.return();
  }
  t.equal(db.totalCount, db.idleCount);
  const { open } = await one<{ open: number }>(
    db,
    `select count(*) as open from pg_stat_activity
     where datname = current_database() and state like 'idle in transaction%'`,
  );
  t.equal(open, 0);
});

t.test('a connection that is cut while the reader dawdles is an error for the reader alone', async (t) => {
  const reader = trackingLines(db, { date: DATE });
  await reader.next();
  await db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and state like 'idle in transaction%'`,
  );
  await t.rejects(async () => {
    for await (const _batch of reader);
  });
  t.equal((await collect()).lines.length, 500, 'the pool goes on');
});
