import type { AttemptEnd, Claim, ClaimRequest, OpenAttempt, TrunkLine } from '../domain/ledger.ts';
import { DEFAULT_POLICY, type Policy, policySchema } from '../domain/policy.ts';
import { type Database, maybeOne, rows } from './db.ts';

/**
 * The claim. In one statement, committed before any INVITE leaves: takes the most urgent broadcast's due
 * calls, marks them, and writes an attempt for each.
 *
 * `for share` of the broadcast makes a pause or a stop wait for this claim, and this claim for them, so
 * none of its calls is claimed once the stop is committed. `skip locked` lets several dialers claim at once.
 * The lateral join reads each broadcast's calls in the order of the partial index calls_ready: the cost does
 * not depend on how many are queued.
 *
 * Windows are asked by zone ($4), because the rule is local time and lives in the domain.
 */
const CLAIM = `
with runnable as materialized (
  select id, urgency, created_at from broadcasts
  where state = 'running' and expires_at > now()
  order by urgency, created_at
  for share
), picked as materialized (
  select call.id, call.prompt_hash from runnable
  cross join lateral (
    select id, prompt_hash, due_at from calls
    where broadcast_id = runnable.id and state = 'ready' and due_at <= now() and zone = any ($4)
    order by due_at, id
    limit $3
    for update skip locked
  ) call
  order by runnable.urgency, runnable.created_at, call.due_at, call.id
  limit $3
), marked as (
  update calls set state = 'dialing', attempts = attempts + 1
  from picked where calls.id = picked.id
  returning calls.*
), written as (
  insert into attempts (call_id, trunk_id, node, number, deadline_at, message_ms)
  select marked.id, $1, $2, marked.attempts,
    now() + make_interval(secs => ($5 + $6 * prompts.duration_ms) / 1000.0), prompts.duration_ms
  from marked join prompts on prompts.hash = marked.prompt_hash
  returning id, call_id, trunk_id, message_ms
)
select written.id as "attemptId", marked.id as "callId", marked.broadcast_id as "broadcastId",
  written.trunk_id as "trunkId", marked.phone, marked.caller_id as "callerId",
  marked.prompt_hash as "promptHash", written.message_ms as "messageMs",
  jsonb_build_object('tries', marked.tries, 'interruptions', marked.interruptions,
    'trunkFailures', marked.trunk_failures) as history
from written join marked on marked.id = written.call_id
order by marked.due_at, marked.id`;

const OPEN_ATTEMPTS = `
select attempts.id as "attemptId", calls.id as "callId", calls.broadcast_id as "broadcastId",
  attempts.trunk_id as "trunkId", calls.phone, calls.caller_id as "callerId",
  calls.prompt_hash as "promptHash", attempts.message_ms as "messageMs",
  jsonb_build_object('tries', calls.tries, 'interruptions', calls.interruptions,
    'trunkFailures', calls.trunk_failures) as history,
  attempts.state, extract(epoch from now() - attempts.answered_at)::float8 * 1000 as "answeredAgoMs"
from attempts join calls on calls.id = attempts.call_id
where attempts.state <> 'ended' and attempts.node = $1`;

/** Outcomes of a call that was answered: one of them is not overwritten by a later busy or no answer. */
const ANSWERED = `('confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard')`;

/**
 * Ends attempts and decides their calls. Guarded by the attempt's state: a second end changes nothing. A
 * retry for a broadcast that was stopped or is over becomes final.
 */
const END_ATTEMPTS = `
with input as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::smallint[], $6::smallint[],
    $7::text[], $8::boolean[], $9::text[], $10::integer[])
  as input (attempt_id, outcome, heard, heard_ms, sip_code, cause, digits, interrupted, counted, retry_ms)
), ended as (
  update attempts set state = 'ended', ended_at = now(), outcome = input.outcome, heard = input.heard,
    heard_ms = input.heard_ms, sip_code = input.sip_code, cause = input.cause, digits = input.digits,
    interrupted = input.interrupted
  from input where attempts.id = input.attempt_id and attempts.state <> 'ended'
  returning attempts.call_id, input.*
), decided as (
  select ended.*, ended.retry_ms is null or broadcasts.state not in ('running', 'paused') as final,
    calls.outcome in ${ANSWERED} and ended.outcome not in ${ANSWERED} as keeps_answer
  from ended join calls on calls.id = ended.call_id join broadcasts on broadcasts.id = calls.broadcast_id
)
update calls set
  state = case when final then 'done' else 'ready' end,
  finished_at = case when final then now() end,
  due_at = now() + make_interval(secs => coalesce(decided.retry_ms, 0) / 1000.0),
  -- What was never sent happened to nobody.
  outcome = case
    when counted = 'nothing' then coalesce(calls.outcome, case when final then 'stopped' end)
    when keeps_answer then calls.outcome
    else decided.outcome end,
  heard = case when keeps_answer or calls.heard_ms > decided.heard_ms then calls.heard else decided.heard end,
  heard_ms = greatest(calls.heard_ms, decided.heard_ms),
  tries = tries + (counted = 'try')::int,
  interruptions = interruptions + (counted = 'interruption')::int,
  trunk_failures = trunk_failures + (counted = 'trunk_failure')::int
from decided where calls.id = decided.call_id`;

/** Calls that will never be placed now. Their last attempt's outcome, if there was one, is the true one. */
const SETTLE_CALLS = `
update calls set state = 'done', finished_at = now(),
  outcome = coalesce(calls.outcome, case when broadcasts.state = 'stopped' then 'stopped' else 'expired' end)
from broadcasts
where calls.broadcast_id = broadcasts.id and calls.state in ('planned', 'ready')
  and (broadcasts.state = 'stopped' and broadcasts.finished_at is null
    or broadcasts.state in ('running', 'paused', 'held') and broadcasts.expires_at <= now())`;

const CLOSE_BROADCASTS = `
update broadcasts set finished_at = now(), state = case when state = 'stopped' then 'stopped' else 'done' end
where finished_at is null and prepared_at is not null
  and (state in ('running', 'stopped') or state in ('paused', 'held') and expires_at <= now())
  and not exists (select from calls where broadcast_id = broadcasts.id and state <> 'done')`;

const TRUNKS = `
select id, name, endpoint, max_channels as "maxChannels", calls_per_second as "callsPerSecond",
  number_format as "numberFormat", caller_id as "callerId", state = 'active' as active
from trunks order by created_at`;

/** The dialer's side of the database. Times are the database's own, so that engines need not agree on one. */
export function createLedger(db: Database) {
  return {
    trunks: () => rows<TrunkLine>(db, TRUNKS),

    async rules(): Promise<{ policy: Policy; country: string }> {
      const district = await maybeOne<{ policy: unknown; country: string }>(
        db,
        'select policy, country from district',
      );
      if (district === undefined) return { policy: DEFAULT_POLICY, country: 'US' };
      return { policy: policySchema.parse(district.policy), country: district.country };
    },

    async zones(): Promise<string[]> {
      const found = await rows<{ zone: string }>(
        db,
        'select zone from district union select zone from sites where zone is not null',
      );
      return found.map(({ zone }) => zone);
    },

    async recentSends(trunkId: string, withinMs: number): Promise<number[]> {
      const found = await rows<{ age: number }>(
        db,
        `select extract(epoch from now() - coalesce(placed_at, claimed_at))::float8 * 1000 as age from attempts
         where trunk_id = $1 and claimed_at > now() - make_interval(secs => $2 / 1000.0) order by age desc`,
        [trunkId, withinMs],
      );
      return found.map(({ age }) => age);
    },

    claim: (request: ClaimRequest) =>
      rows<Claim>(db, CLAIM, [
        request.trunkId,
        request.node,
        request.limit,
        request.openZones,
        request.fixedMs,
        request.messagePlays,
      ]),

    openAttempts: (node: string) => rows<OpenAttempt>(db, OPEN_ATTEMPTS, [node]),

    async markPlaced(attemptIds: string[]): Promise<void> {
      await db.query(
        `update attempts set state = 'placed', placed_at = now()
         where id = any ($1::uuid[]) and state = 'claimed'`,
        [attemptIds],
      );
    },

    async markAnswered(attemptIds: string[]): Promise<void> {
      await db.query(
        `update attempts set state = 'answered', answered_at = now(), placed_at = coalesce(placed_at, now())
         where id = any ($1::uuid[]) and state in ('claimed', 'placed')`,
        [attemptIds],
      );
    },

    async endAttempts(ends: AttemptEnd[]): Promise<void> {
      const column = <K extends keyof AttemptEnd>(name: K) => ends.map((end) => end[name]);
      await db.query(END_ATTEMPTS, [
        column('attemptId'),
        column('outcome'),
        column('heard'),
        column('heardMs'),
        column('sipCode'),
        column('cause'),
        column('digits'),
        column('interrupted'),
        column('counted'),
        column('retryInMs'),
      ]);
    },

    async settle(): Promise<void> {
      await db.query(SETTLE_CALLS);
      await db.query(CLOSE_BROADCASTS);
    },

    async refuseTrunk(trunkId: string, reason: string): Promise<void> {
      await db.query(`update trunks set state = 'refused', state_reason = $2 where id = $1`, [
        trunkId,
        reason,
      ]);
    },
  };
}
