import { UNCAPPED_URGENCY } from '../domain/terms.ts';

/** Calls that are read of each lane at least. */
const FEWEST = 4;
/** The most calls that one look may want, with those that it looks ahead. */
export const LONGEST_LOOK = 500;
/** Urgency and turn in one number: the turns of a class stay far below this power of two. */
const URGENCY_BITS = 48;

/** How long a call waits whose phone is in another call just now. */
const BUSY_PHONE_WAIT = `interval '5 seconds'`;

/**
 * The claim. In one statement, committed before any INVITE leaves: takes the next calls by urgency and turn,
 * marks them, and writes an attempt for each. What it does not take it neither locks nor reads, but for the
 * head of each lane and a short look ahead.
 *
 * - *lease*: an engine without the trunk's current lease gets nothing, and nobody does by a trunk that was paused
 *   or removed; `for share` makes a take-over, and the reply to a pause, wait for a claim under way.
 * - *lane, head*: the first $8 calls overall are in the $8 lanes with the nearest heads, so one look at the
 *   head of each lane. A call's lane says its broadcast, zone and the trunks that it avoids, so no call is
 *   read that may not be taken; only the index calls_ready knows lanes, so stale statistics cannot lead to
 *   another.
 * - *seen, candidate*: some calls of each of those: enough when lanes share, as they mostly do. What lies
 *   behind a lane's last one that was seen is left for the next look. Nothing is locked yet. $8 calls of
 *   each lane would be 2,500 rows and 5 ms with 100 running broadcasts.
 * - *runnable*: `for share` of the broadcast makes a pause or a stop wait for this claim, and this claim sees
 *   it when it was first; one that is being changed is passed over.
 * - *picked*: `skip locked` lets several dialers claim at once; the state is asked again under the lock.
 * - *gate*: one row per phone, where all broadcasts and engines meet. A phone that rings, or that had its
 *   calls of the day, lets nobody through. In the order of phones, so that two claims cannot deadlock.
 * - *put_off*: calls whose phone was seen to be busy or over its cap leave the head of the queue, so that the
 *   next claim does not read them again.
 *
 * Windows are asked by zone ($4), because the rule is local time and lives in the domain; $9 and $10 are the
 * zones' local dates, and when those end.
 */
export const CLAIM = `
with lease as materialized (
  select from trunk_leases join trunks on trunks.id = trunk_leases.trunk_id
  where trunk_id = $1 and fence = $2 and expires_at > now() and trunks.state = 'active'
    and trunks.removed_at is null
  for share
), zones as materialized (
  select * from unnest($4::text[], $9::date[], $10::timestamptz[]) as zones (zone, today, tomorrow)
), lane as materialized (
  select lanes.id, lanes.urgency, lanes.shift, zones.today, zones.tomorrow
  from lanes join broadcasts on broadcasts.id = lanes.broadcast_id join zones on zones.zone = lanes.zone
  where exists (select from lease) and broadcasts.state = 'running' and broadcasts.expires_at > now()
    and $1 <> all (lanes.avoid_trunks)
), head as materialized (
  select nearest.*, least($8, ceil(greatest(${FEWEST}, 2.0 * $8 / count(*) over (partition by urgency),
    1.0 * $8 / row_number() over (order by urgency, shift + rank))))::bigint as reach
  from (
    select lane.*, first.rank from lane cross join lateral (
      select rank from calls where lane_id = lane.id and state = 'ready' order by rank limit 1
    ) first
    order by lane.urgency, lane.shift + first.rank limit $8
  ) nearest
), seen as materialized (
  select call.*, head.urgency, head.today, head.tomorrow,
    (head.urgency::bigint << ${URGENCY_BITS}) + head.shift + call.rank as turn,
    count(*) over of_lane = head.reach as cut_off, max(call.rank) over of_lane + head.shift
      + (head.urgency::bigint << ${URGENCY_BITS}) as last_turn
  from head cross join lateral (
    select * from (
      -- A limit that the planner knows: of one that it does not it thinks a tenth of the table, and sorts that.
      select id, lane_id, phone, broadcast_id, rank from calls
      where lane_id = head.id and state = 'ready' order by rank limit ${LONGEST_LOOK}
    ) ready
    limit head.reach
  ) call
  window of_lane as (partition by call.lane_id)
), candidate as materialized (
  select * from seen
  where turn <= coalesce((select min(last_turn) from seen where cut_off), ${2n ** 63n - 1n})
  order by turn, id limit $8
), judged as materialized (
  select candidate.*, case
    when phones.busy_until > now()
      or row_number() over (partition by candidate.phone order by turn, candidate.id) > 1
      then 'busy'
    when candidate.urgency > ${UNCAPPED_URGENCY} and phones.day >= today and phones.calls >= $7 then 'capped'
    else 'free' end as verdict
  from candidate left join lateral (
    -- The limit keeps it one look into the index per candidate, whatever the statistics say.
    select busy_until, day, calls from phones where phone = candidate.phone limit 1
  ) phones on true
), runnable as materialized (
  select id, expires_at from broadcasts
  where id in (select broadcast_id from candidate) and state = 'running' and expires_at > now()
  for share skip locked
), picked as materialized (
  select calls.*, judged.urgency, judged.turn, judged.today, uuidv7() as attempt_id, prompts.duration_ms,
    now() + make_interval(secs => ($5 + $6 * prompts.duration_ms) / 1000.0) as deadline_at
  from judged join runnable on runnable.id = judged.broadcast_id
    join calls on calls.id = judged.id join prompts on prompts.hash = calls.prompt_hash
  where judged.verdict = 'free' and calls.state = 'ready'
  order by judged.turn, judged.id
  limit cardinality($3::text[])
  for update of calls skip locked
), gate as (
  insert into phones (phone, day, calls, attempt_id, busy_until)
  select phone, today, (urgency > ${UNCAPPED_URGENCY})::integer, attempt_id, deadline_at from picked order by phone
  on conflict (phone) do update set attempt_id = excluded.attempt_id, busy_until = excluded.busy_until,
    day = greatest(phones.day, excluded.day),
    calls = excluded.calls + case when excluded.day > phones.day then 0 else phones.calls end
  where phones.busy_until <= now()
    and (excluded.calls = 0 or excluded.day > phones.day or phones.calls < $7)
  returning attempt_id
), taken as materialized (
  select picked.*, row_number() over (order by turn, id) as place
  from picked join gate using (attempt_id)
), marked as (
  update calls set state = 'dialing', attempts = calls.attempts + 1 from taken where calls.id = taken.id
), written as (
  insert into attempts (id, call_id, trunk_id, fence, node, phone, number, deadline_at, message_ms)
  select attempt_id, id, $1, $2, ($3::text[])[place], phone, attempts + 1, deadline_at, duration_ms from taken
), held_up as (
  select calls.id, judged.verdict, judged.tomorrow, runnable.expires_at,
    judged.verdict = 'capped' and judged.tomorrow >= runnable.expires_at as over
  from judged join runnable on runnable.id = judged.broadcast_id join calls on calls.id = judged.id
  where judged.verdict <> 'free' and calls.state = 'ready'
  for update of calls skip locked
), put_off as (
  update calls set state = case when over then 'done' else 'waiting' end,
    due_at = case when verdict = 'busy' then now() + ${BUSY_PHONE_WAIT} else tomorrow end,
    outcome = case when over then coalesce(calls.outcome, 'over_cap') else calls.outcome end,
    finished_at = case when over then now() end
  from held_up where calls.id = held_up.id
)
select (select count(*) = $8 from candidate) or exists (select from seen where cut_off) as "moreToSee", attempt_id as "attemptId", id as "callId",
  broadcast_id as "broadcastId", ($3::text[])[place] as node, urgency, phone, caller_id as "callerId",
  prompt_hash as "promptHash", duration_ms as "messageMs", tries, interruptions, trunk_failures as "trunkFailures"
from (select) as always left join taken on true
order by place`;

/** A claimed call, or one row of nulls when there was none. */
export interface ClaimedRow {
  /** There may be calls behind those that were looked at. */
  moreToSee: boolean;
  attemptId: string | null;
  callId: string;
  broadcastId: string;
  node: string;
  urgency: number;
  phone: string;
  callerId: string | null;
  promptHash: string;
  messageMs: number;
  tries: number;
  interruptions: number;
  trunkFailures: number;
}
