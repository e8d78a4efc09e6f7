import { one, type Queryable } from './db.ts';

const LOCK = `
  select prepared_at is null and state in ('held', 'running', 'paused') as open
  from broadcasts where id = $1 for update`;

// A correction may itself be corrected, before it reached all of its audience: who heard any of the broadcasts
// in the chain must hear the last word.
const CHAIN = `
  recursive chain as (
    select corrects as id from broadcasts where id = $1
    union
    select broadcasts.corrects from broadcasts join chain using (id) where broadcasts.corrects is not null)`;

const ANY_LIVE = `
  with ${CHAIN}
  select exists (select from calls where broadcast_id in (select id from chain) and state <> 'done') as live`;

// An interrupted attempt may have played a part. A phone that is on the line is called when that call is over.
const PLAN = `
  with ${CHAIN},
  reached as materialized (
    select distinct on (phone) id, phone, language, zone, caller_id from calls
    where broadcast_id in (select id from chain) and state = 'done' and phone is not null
      and (heard <> 'none' or heard_ms > 0)
      and not exists (
        select from calls live
        where live.broadcast_id in (select id from chain) and live.phone = calls.phone and live.state <> 'done')
    order by phone, broadcast_id desc),
  added as (
    insert into calls (broadcast_id, phone, language, zone, caller_id, state)
    select $1, phone, language, zone, caller_id, 'planned' from reached order by phone
    on conflict (broadcast_id, phone) do nothing
    returning id, phone),
  recipients as (
    insert into call_recipients (call_id, site_id, student_id)
    select added.id, site_id, student_id
    from added join reached using (phone) join call_recipients on call_id = reached.id
    returning call_id)
  select (select count(*) from added) as calls, (select count(*) from recipients) as recipients`;

// With nobody to call there is nothing for the dialer to finish.
const PREPARED = `
  update broadcasts set prepared_at = now(),
    state = case when empty then 'done' else state end, finished_at = case when empty then now() end
  from (select not exists (select from calls where broadcast_id = $1) as empty) counted
  where id = $1`;

export interface CorrectionSize {
  /** What this pass added. */
  calls: number;
  recipients: number;
  /** Calls of what is corrected are on the line: plan again when they have ended. */
  more: boolean;
}

/**
 * Plans a call for every phone that heard something of the broadcast that this one corrects, in its language,
 * zone and caller ID, for the same recipients. May be run as often as one likes; those whose call ends later
 * are added by a later pass, and only the pass that finds none on the line makes the correction prepared. Run
 * it in a transaction.
 */
export async function planCorrection(tx: Queryable, id: string): Promise<CorrectionSize> {
  const { open } = await one<{ open: boolean }>(tx, LOCK, [id]);
  if (!open) return { calls: 0, recipients: 0, more: false };
  // Asked first: a call that ends after this is left to the next pass, not lost.
  const { live } = await one<{ live: boolean }>(tx, ANY_LIVE, [id]);
  const added = await one<{ calls: number; recipients: number }>(tx, PLAN, [id]);
  if (!live) await tx.query(PREPARED, [id]);
  return { ...added, more: live };
}
