import t from 'tap';
import { CATEGORIES } from '../../engine/domain/terms.ts';
import { createMetrics } from '../../engine/metrics.ts';
import { callsByOutcome, queueDepth } from '../../engine/store/metrics.ts';
import { plan, storedBroadcast } from '../support/api.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const DAY_MS = 24 * 3_600_000;

t.test('the metrics have what waits, also where nothing does, and what became of the rest', async (t) => {
  const { registry, onScrape } = createMetrics();
  onScrape({
    categories: CATEGORIES,
    queue: () => queueDepth(db),
    outcomes: () => callsByOutcome(db, { since: new Date(Date.now() - DAY_MS) }),
  });
  const linesOf = async (name: string) =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));

  const empty = await linesOf('rollcall_queue_calls');
  t.equal(empty.length, CATEGORIES.length * 3);
  t.ok(empty.every((line) => line.endsWith(' 0')));
  t.same(await linesOf('rollcall_calls'), []);

  const { id: broadcast } = await storedBroadcast(db);
  const { id: old } = await storedBroadcast(db, { category: 'survey' });
  await db.query(`update broadcasts set created_at = now() - interval '25 hours' where id = $1`, [old]);
  const ready = [await plan(db, { broadcast }), await plan(db, { broadcast })];
  await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  await plan(db, { broadcast, state: 'done', outcome: 'busy' });
  await plan(db, { broadcast: old, state: 'done', outcome: 'busy' });
  await plan(db, { broadcast: old, state: 'planned' });

  const queue = await linesOf('rollcall_queue_calls');
  t.equal(queue.length, CATEGORIES.length * 3);
  t.same(queue.filter((line) => !line.endsWith(' 0')).sort(), [
    'rollcall_queue_calls{category="schools_out",state="ready"} 2',
    'rollcall_queue_calls{category="survey",state="planned"} 1',
  ]);
  t.same((await linesOf('rollcall_calls')).sort(), [
    'rollcall_calls{category="schools_out",outcome="busy"} 1',
    'rollcall_calls{category="schools_out",outcome="heard"} 2',
  ]);
  t.match(await registry.metrics(), /# HELP rollcall_calls .*last 24 hours/);

  await db.query(`update calls set state = 'dialing' where id = any($1)`, [ready]);
  t.ok(
    (await linesOf('rollcall_queue_calls')).includes(
      'rollcall_queue_calls{category="schools_out",state="ready"} 0',
    ),
    'and falls back to 0',
  );
});
