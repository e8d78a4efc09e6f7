import type { Category, Outcome } from '../domain/terms.ts';
import { type Queryable, rows } from './db.ts';

// Over the partial index of open calls: finished ones, however many, are not read.
const QUEUE_DEPTH = `
  select broadcasts.category, calls.state, count(*) as calls
  from calls join broadcasts on broadcasts.id = calls.broadcast_id
  where calls.state <> 'done' and calls.state in ('planned', 'waiting', 'ready')
  group by 1, 2`;

// By broadcast, so that a scrape reads the recent calls and not those of all years.
const CALLS_BY_OUTCOME = `
  select broadcasts.category, calls.outcome, count(*) as calls
  from broadcasts join calls on calls.broadcast_id = broadcasts.id
  where broadcasts.created_at >= $1 and calls.state = 'done'
  group by 1, 2`;

/** How many calls wait, by category: `planned` for their audio, `waiting` for their time, `ready` for a permit. */
export async function queueDepth(
  db: Queryable,
): Promise<{ category: Category; state: 'planned' | 'waiting' | 'ready'; calls: number }[]> {
  return rows(db, QUEUE_DEPTH);
}

/** Finished calls of the broadcasts created since then, by category and final outcome. */
export async function callsByOutcome(
  db: Queryable,
  { since }: { since: Date },
): Promise<{ category: Category; outcome: Outcome; calls: number }[]> {
  return rows(db, CALLS_BY_OUTCOME, [since]);
}
