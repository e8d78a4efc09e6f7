import type {
  AttemptEnd,
  AttemptRef,
  Claim,
  ClaimRequest,
  Lease,
  OpenAttempt,
  TrunkLine,
} from '../domain/ledger.ts';
import { DEFAULT_POLICY, type Policy, policySchema } from '../domain/policy.ts';
import { UNCAPPED_URGENCY } from '../domain/terms.ts';
import type { TrunkHealthReport } from '../domain/trunk-health.ts';
import { endOfDate, localDate } from '../domain/zoned-time.ts';
import { CLAIM, type ClaimedRow, LONGEST_LOOK } from './claim.ts';
import { type Database, maybeOne, type Prepared, preparedRows, rows } from './db.ts';
import { wakeDialer } from './notify.ts';
import { settleQueue } from './queue.ts';
import { settleDraining } from './trunks.ts';

const OPEN_ATTEMPTS = `
select attempts.id as "attemptId", calls.id as "callId", calls.broadcast_id as "broadcastId",
  attempts.trunk_id as "trunkId", attempts.fence, attempts.node, broadcasts.urgency, calls.phone,
  calls.caller_id as "callerId", calls.prompt_hash as "promptHash", attempts.message_ms as "messageMs",
  jsonb_build_object('tries', calls.tries, 'interruptions', calls.interruptions,
    'trunkFailures', calls.trunk_failures) as history,
  attempts.state, extract(epoch from now() - attempts.answered_at)::float8 * 1000 as "answeredAgoMs",
  extract(epoch from attempts.deadline_at - now())::float8 * 1000 as "deadlineInMs"
from attempts join calls on calls.id = attempts.call_id join broadcasts on broadcasts.id = calls.broadcast_id
where attempts.state <> 'ended' and attempts.trunk_id = $1`;

const ADOPT = `update attempts set fence = $2 where trunk_id = $1 and state <> 'ended' and fence < $2`;

/** Outcomes of a call that was answered: one of them is not overwritten by a later busy or no answer. */
const ANSWERED = `('confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard')`;

/**
 * Ends attempts and decides their calls. Guarded by the attempt's state and fence: a second end, and one by an
 * owner of before, change nothing. A retry for a broadcast that was stopped or is over becomes final.
 *
 * A call that another trunk may still place goes to that trunk's lane at once. When every trunk was tried, or
 * when the phone itself had its say, it may go by any trunk again.
 *
 * First the calls, then the phones and those in their order, as the claim has it: so they cannot deadlock.
 */
const END_ATTEMPTS = `
with input as (
  select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::smallint[],
    $7::smallint[], $8::text[], $9::boolean[], $10::text[], $11::integer[], $12::boolean[])
  as input (attempt_id, fence, outcome, heard, heard_ms, sip_code, cause, digits, interrupted, counted,
    retry_ms, reroute)
), ended as (
  update attempts set state = 'ended', ended_at = now(), outcome = input.outcome, heard = input.heard,
    heard_ms = input.heard_ms, sip_code = input.sip_code, cause = input.cause, digits = input.digits,
    interrupted = input.interrupted
  from input
  where attempts.id = input.attempt_id and attempts.fence = input.fence and attempts.state <> 'ended'
  returning attempts.call_id, attempts.trunk_id, input.*
), seen as materialized (
  select ended.*, calls.phone, broadcasts.urgency, broadcasts.state in ('running', 'paused') as lives,
    ended.reroute and exists (
      select from trunks
      where trunks.state = 'active' and trunks.breaker <> 'open' and trunks.id <> ended.trunk_id
        and trunks.id <> all (calls.avoid_trunks)) as elsewhere
  from ended join calls on calls.id = ended.call_id join broadcasts on broadcasts.id = calls.broadcast_id
), decided as (
  select seen.*, not lives or not elsewhere and retry_ms is null as final,
    -- What was never sent happened to nobody.
    counted = 'nothing' and interrupted as unsent
  from seen
), changed as (
  update calls set
    state = case when final then 'done' when elsewhere or retry_ms = 0 then 'ready' else 'waiting' end,
    finished_at = case when final then now() end,
    due_at = now() + make_interval(secs => case when elsewhere then 0 else coalesce(retry_ms, 0) end / 1000.0),
    avoid_trunks = case
      when elsewhere and not final
        then (select array_agg(trunk order by trunk) from unnest(avoid_trunks || trunk_id) as trunk)
      when reroute or counted <> 'nothing' then '{}'
      else avoid_trunks end,
    outcome = case
      when unsent then coalesce(calls.outcome, case when final then 'stopped' end)
      when calls.outcome in ${ANSWERED} and decided.outcome not in ${ANSWERED} then calls.outcome
      else decided.outcome end,
    heard = case
      when calls.outcome in ${ANSWERED} and decided.outcome not in ${ANSWERED}
        or calls.heard_ms > decided.heard_ms then calls.heard
      else decided.heard end,
    heard_ms = greatest(calls.heard_ms, decided.heard_ms),
    tries = tries + (counted = 'try')::int,
    interruptions = interruptions + (counted = 'interruption')::int,
    trunk_failures = trunk_failures + (counted = 'trunk_failure')::int
  from decided where calls.id = decided.call_id
  returning decided.phone, decided.attempt_id,
    (urgency > ${UNCAPPED_URGENCY} and counted in ('nothing', 'trunk_failure'))::int as uncounted
)
update phones set busy_until = '-infinity', attempt_id = null, calls = greatest(0, calls - uncounted)
from (select * from changed order by phone) as changed
where phones.phone = changed.phone and phones.attempt_id = changed.attempt_id`;

const MARK_PLACED = `
update attempts set state = 'placed', placed_at = now()
from unnest($1::uuid[], $2::bigint[]) as input (id, fence)
where attempts.id = input.id and attempts.fence = input.fence and state = 'claimed'`;

const MARK_ANSWERED = `
update attempts set state = 'answered', answered_at = coalesce(answered_at, now()),
  placed_at = coalesce(placed_at, now())
from unnest($1::uuid[], $2::bigint[]) as input (id, fence)
where attempts.id = input.id and attempts.fence = input.fence and state <> 'ended'
returning attempts.id`;

/** $1 trunk, $2 fence: an owner of before changes nothing. */
const OURS = `exists (select from trunk_leases where trunk_id = $1 and fence = $2 and expires_at > now())`;

const REFUSE_TRUNK = `
update trunks set state = 'refused', state_reason = $3 where id = $1 and state = 'active' and ${OURS}`;

const SAVE_HEALTH = `update trunks set breaker = $3, health = $4 where id = $1 and ${OURS}`;

const TRUNKS = `
select id, name, max_channels as "maxChannels", calls_per_second as "callsPerSecond",
  number_format as "numberFormat", number_prefix as "numberPrefix", allowed_prefixes as "allowedPrefixes",
  caller_id as "callerId", priority, weight, state, revision
from trunks where removed_at is null order by created_at`;

// With those of lanes: a site may have moved to another zone, or be gone, since its calls were planned.
const ZONES = `
select zone from district union select zone from sites where zone is not null union select zone from lanes`;

const RECENT_SENDS = `
select extract(epoch from now() - coalesce(placed_at, claimed_at))::float8 * 1000 as age from attempts
where trunk_id = $1 and claimed_at > now() - make_interval(secs => $2 / 1000.0) order by age desc`;

/**
 * How many calls beyond those asked for a claim looks at, for those that another claim has locked or whose
 * phone is busy; and how often it looks again when that was not enough.
 */
const LOOK_AHEAD = 20;
const LOOKS = 5;

const CLAIM_PREPARED: Prepared = { name: 'claim', text: CLAIM };
const PLACED_PREPARED: Prepared = { name: 'mark_placed', text: MARK_PLACED };
const ANSWERED_PREPARED: Prepared = { name: 'mark_answered', text: MARK_ANSWERED };
const END_PREPARED: Prepared = { name: 'end_attempts', text: END_ATTEMPTS };

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

    zones: async () => (await rows<{ zone: string }>(db, ZONES)).map(({ zone }) => zone),

    /** How long ago, in ms, each INVITE of the last `withinMs` left on a trunk, by any engine. */
    recentSends: async (trunkId: string, withinMs: number) =>
      (await rows<{ age: number }>(db, RECENT_SENDS, [trunkId, withinMs])).map(({ age }) => age),

    /** Takes the next calls, at most one per node given. Committed when it returns. */
    async claim(request: ClaimRequest): Promise<Claim[]> {
      const { openZones, fixedMs, messagePlays, dailyCap } = request;
      const now = new Date();
      const days = openZones.map((zone) => localDate(now, zone));
      const ends = openZones.map((zone, index) => endOfDate(days[index] ?? '', zone));
      const claims: Claim[] = [];
      for (let look = 0; look < LOOKS && claims.length < request.nodes.length; look += 1) {
        const nodes = request.nodes.slice(claims.length, claims.length + LONGEST_LOOK - LOOK_AHEAD);
        const found = await preparedRows<ClaimedRow>(db, CLAIM_PREPARED, [
          request.trunkId,
          request.fence,
          nodes,
          openZones,
          fixedMs,
          messagePlays,
          dailyCap,
          nodes.length + LOOK_AHEAD,
          days,
          ends,
        ]);
        for (const { moreToSee, attemptId, tries, interruptions, trunkFailures, ...call } of found) {
          if (attemptId === null) continue;
          const { trunkId, fence } = request;
          claims.push({
            ...call,
            attemptId,
            trunkId,
            fence,
            history: { tries, interruptions, trunkFailures },
          });
        }
        if (!found[0]?.moreToSee) break;
      }
      return claims;
    },

    /** Of the trunk, on whatever node. */
    openAttempts: (trunkId: string) => rows<OpenAttempt>(db, OPEN_ATTEMPTS, [trunkId]),

    /** Those of the ids that are open attempts, of any trunk. */
    openAmong: async (attemptIds: string[]) =>
      (
        await rows<{ id: string }>(
          db,
          `select id from attempts where id = any ($1::uuid[]) and state <> 'ended'`,
          [attemptIds],
        )
      ).map(({ id }) => id),

    /** Makes the trunk's open attempts this fence's: an earlier owner's late writes change nothing any more. */
    async adoptAttempts(trunkId: string, fence: number): Promise<void> {
      await db.query(ADOPT, [trunkId, fence]);
    },

    async markPlaced(items: AttemptRef[]): Promise<void> {
      await preparedRows(db, PLACED_PREPARED, columnsOf(items, ['attemptId', 'fence']));
    },

    /** Returns the ids of those that are answered now, under this fence. */
    async markAnswered(items: AttemptRef[]): Promise<string[]> {
      const columns = columnsOf(items, ['attemptId', 'fence']);
      return (await preparedRows<{ id: string }>(db, ANSWERED_PREPARED, columns)).map(({ id }) => id);
    },

    async endAttempts(ends: AttemptEnd[]): Promise<void> {
      await preparedRows(db, END_PREPARED, columnsOf(ends, END_COLUMNS));
      // Another trunk, perhaps another engine's, may take the call now.
      if (ends.some(({ reroute, retryInMs }) => reroute || retryInMs === 0)) await wakeDialer(db);
    },

    /** See {@link settleQueue}. */
    settle: () => settleQueue(db),

    /** Stops a trunk whose carrier refuses us, unless operations have paused it. */
    async refuseTrunk({ trunkId, fence }: Lease, reason: string): Promise<void> {
      await db.query(REFUSE_TRUNK, [trunkId, fence, reason]);
    },

    /** See {@link settleDraining}. */
    settleDraining: () => settleDraining(db),

    async saveTrunkHealth({ trunkId, fence }: Lease, report: TrunkHealthReport): Promise<void> {
      await db.query(SAVE_HEALTH, [trunkId, fence, report.breaker, JSON.stringify(report)]);
    },
  };
}

const END_COLUMNS = [
  'attemptId',
  'fence',
  'outcome',
  'heard',
  'heardMs',
  'sipCode',
  'cause',
  'digits',
  'interrupted',
  'counted',
  'retryInMs',
  'reroute',
] as const satisfies readonly (keyof AttemptEnd)[];

function columnsOf<T>(items: readonly T[], names: readonly (keyof T)[]): unknown[][] {
  return names.map((name) => items.map((item) => item[name]));
}
