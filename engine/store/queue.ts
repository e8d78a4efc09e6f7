import { type Database, one, type Queryable, rows } from './db.ts';

/** Rows per statement: some 50 ms, so that nobody waits long for their locks. */
const BATCH = 2_000;
/** Statements per settling: what is left waits for the next one, a second later. */
const BATCHES = 10;

/**
 * Lets calls go whose time has come. A call of a chain ("held") has been nudged, because a phone before it is
 * final: it may go when for one of its students, whom nobody reached, all phones before it are; it is not
 * needed when each of its students was reached; otherwise it waits on.
 */
const PROMOTE = `
with due as (
  select id, chain, broadcast_id from calls
  where state = 'waiting' and due_at <= now()
  order by due_at limit $1
  for update skip locked
), of_student as (
  select due.id, mine.student_id,
    bool_or(calls.heard <> 'none') as reached,
    -- All phones before it, also those that are not planned yet: positions have no gap.
    count(*) filter (where behind.position < mine.position and calls.state = 'done') = mine.position - 1 as first
  from due join call_recipients mine on mine.call_id = due.id
    join call_recipients behind on behind.student_id = mine.student_id and behind.position is not null
    join calls on calls.id = behind.call_id and calls.broadcast_id = due.broadcast_id
  where due.chain = 'held'
  group by due.id, mine.student_id, mine.position
), of_call as (
  select id, case when bool_and(reached) then 'not_needed' when bool_or(first and not reached) then 'goes'
    else 'waits' end as verdict
  from of_student group by id
), decided as (
  select due.id, coalesce(of_call.verdict, 'goes') as verdict from due left join of_call using (id)
), moved as (
  update calls set
    state = case verdict when 'goes' then 'ready' when 'waits' then 'waiting' else 'done' end,
    due_at = case when verdict = 'waits' then 'infinity' else calls.due_at end,
    chain = case when calls.chain = 'held' and verdict = 'goes' then 'open' else calls.chain end,
    outcome = case when verdict = 'not_needed' then 'not_needed' else calls.outcome end,
    finished_at = case when verdict = 'not_needed' then now() end
  from decided where calls.id = decided.id
)
select count(*)::integer as moved from decided`;

const NEXT_DUE = `
select extract(epoch from min(due_at) - now())::float8 * 1000 as "nextDueMs" from calls
where state = 'waiting' and due_at < 'infinity'`;

/** Broadcasts whose waiting calls will never be placed now. */
const OVER = `
select id from broadcasts
where finished_at is null and (state = 'stopped' or state in ('running', 'paused', 'held') and expires_at <= now())`;

// The last attempt's outcome, if there was one, is the true one. Out of its chain: nobody need look behind it.
const END_CALLS = `
with open as (
  select calls.id from calls
  where broadcast_id = $1 and state <> 'done' and state in ('planned', 'waiting', 'ready')
  limit $2
  for update skip locked
)
update calls set state = 'done', finished_at = now(), chain = null,
  outcome = coalesce(calls.outcome, case when broadcasts.state = 'stopped' then 'stopped' else 'expired' end)
from open, broadcasts where calls.id = open.id and broadcasts.id = $1
  and (broadcasts.state = 'stopped' or broadcasts.expires_at <= now())`;

const CLOSE_BROADCASTS = `
with closed as (
  update broadcasts set finished_at = now(), state = case when state = 'stopped' then 'stopped' else 'done' end
  where finished_at is null
    and (state = 'stopped' or prepared_at is not null
      and (state = 'running' or state in ('paused', 'held') and expires_at <= now()))
    and not exists (select from calls where broadcast_id = broadcasts.id and state <> 'done')
  returning id
)
delete from lanes using closed where lanes.broadcast_id = closed.id`;

/** A lane may lag behind its class by this many ranks: that much is between two claims. */
const SLACK = 10;

/**
 * Notes how far each lane got. One that is far behind its class (it was paused, or its zone was closed, or
 * its trunk was down) would now take every permit until it has caught up: it joins at the current place.
 */
const MOVE_LANES = `
with serving as (
  select calls.lane_id, max(calls.rank) as rank from attempts join calls on calls.id = attempts.call_id
  where attempts.state <> 'ended' and calls.state = 'dialing' group by 1
), moved as (
  select lanes.id, lanes.urgency, lanes.shift, greatest(lanes.position, serving.rank) as position,
    max(lanes.shift + greatest(lanes.position, coalesce(serving.rank, 0)))
      over (partition by lanes.urgency) as virtual_time,
    serving.rank is not null as served
  from lanes left join serving on serving.lane_id = lanes.id
)
update lanes set position = moved.position,
  shift = case when moved.position + moved.shift < virtual_time - ${SLACK} then virtual_time - moved.position
    else lanes.shift end
from moved
where lanes.id = moved.id and served
  and (lanes.position <> moved.position or moved.position + moved.shift < virtual_time - ${SLACK})`;

/**
 * The ledger's chores, once a second and by each dialer: lets calls go that have come due, ends those of
 * broadcasts that were stopped or are over, closes broadcasts without an open call, and keeps the lanes
 * level. Each step is bounded; what is left is the next one's. `nextDueMs`: until the next call comes due,
 * 0 when more are due already; null: none waits.
 */
export async function settleQueue(db: Database): Promise<{ nextDueMs: number | null }> {
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const { moved } = await one<{ moved: number }>(db, PROMOTE, [BATCH]);
    if (moved < BATCH) break;
  }
  for (const { id } of await rows<{ id: string }>(db, OVER)) await endOpenCalls(db, id);
  await db.query(CLOSE_BROADCASTS);
  await db.query(MOVE_LANES);
  const { nextDueMs } = await one<{ nextDueMs: number | null }>(db, NEXT_DUE);
  return { nextDueMs: nextDueMs === null ? null : Math.max(0, nextDueMs) };
}

/**
 * Ends the calls that wait of a broadcast that was stopped or is over, some 20,000 at most, each batch by
 * itself; settling ends the rest.
 */
export async function endOpenCalls(db: Queryable, broadcastId: string): Promise<void> {
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const { rowCount } = await db.query(END_CALLS, [broadcastId, BATCH]);
    if ((rowCount ?? 0) < BATCH) return;
  }
}
