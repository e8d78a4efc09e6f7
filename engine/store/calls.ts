import type { AttemptState, BroadcastState, CallState, HeardLevel, Outcome } from '../domain/terms.ts';
import { maybeOne, type Queryable, rows } from './db.ts';

/** One phone of one broadcast. */
export interface Call {
  id: string;
  broadcastId: string;
  /** E.164; null when there was nobody to dial. */
  phone: string | null;
  language: string;
  /** IANA zone whose clock decides when this phone may ring. */
  zone: string;
  callerId: string | null;
  state: CallState;
  /** Not before; null: not before another phone of the household is done. */
  dueAt: Date | null;
  /** The last attempt's while a retry is pending; final once `done`. */
  outcome: Outcome | null;
  heard: HeardLevel;
  heardMs: number;
  finishedAt: Date | null;
}

/** One INVITE, or what was to become one. */
export interface Attempt {
  id: string;
  trunk: string;
  node: string;
  /** 1 for the first of its call. */
  number: number;
  state: AttemptState;
  claimedAt: Date;
  placedAt: Date | null;
  ringingAt: Date | null;
  answeredAt: Date | null;
  endedAt: Date | null;
  sipCode: number | null;
  /** Q.850 */
  cause: number | null;
  outcome: Outcome | null;
  heard: HeardLevel;
  heardMs: number;
  messageMs: number;
  digits: string;
  interrupted: boolean;
}

/** For whom the call is: siblings share one. */
export interface Recipient {
  site: string;
  studentId: string | null;
  student: string | null;
}

export interface CallDetail extends Call {
  promptHash: string | null;
  /** null while the message is not rendered. */
  messageMs: number | null;
  recipients: Recipient[];
  attempts: Attempt[];
}

/** How far a broadcast is, at one moment. */
export interface Progress {
  state: BroadcastState;
  total: number;
  planned: number;
  /** Their next try is not due, or another phone of theirs comes first. */
  waiting: number;
  ready: number;
  /** Attempts on their way to an answer. */
  ringing: number;
  /** Attempts answered and not over. */
  live: number;
  done: number;
  /** Attempts started per second, over the last 5 seconds. */
  callsPerSecond: number;
  /** Calls that are done. */
  byOutcome: Partial<Record<Outcome, number>>;
  /**
   * From the rate of the last 30 seconds, and not before the last retry is due; null when nothing was finished
   * in them and no retry waits, or nothing runs.
   */
  secondsLeft: number | null;
}

const CALL_COLUMNS = `
  calls.id, calls.broadcast_id as "broadcastId", calls.phone, calls.language, calls.zone,
  calls.caller_id as "callerId", calls.state, nullif(calls.due_at, 'infinity') as "dueAt", calls.outcome, calls.heard,
  calls.heard_ms as "heardMs", calls.finished_at as "finishedAt"`;

const LIST = `
  select ${CALL_COLUMNS} from calls
  where ($1::uuid is null or broadcast_id = $1) and ($3::uuid is null or id > $3)
    and ($2::text is null or case when $2 = 'pending' then state <> 'done' else state = 'done' and outcome = $2 end)
  order by id limit $4`;

const GET = `
  select ${CALL_COLUMNS}, calls.prompt_hash as "promptHash", prompts.duration_ms as "messageMs"
  from calls left join prompts on prompts.hash = calls.prompt_hash
  where calls.id = $1`;

const ATTEMPTS = `
  select attempts.id, trunks.name as trunk, node, number, attempts.state, claimed_at as "claimedAt",
    placed_at as "placedAt", ringing_at as "ringingAt", answered_at as "answeredAt", ended_at as "endedAt",
    sip_code as "sipCode", cause, outcome, heard, heard_ms as "heardMs", message_ms as "messageMs", digits,
    interrupted
  from attempts join trunks on trunks.id = attempts.trunk_id
  where call_id = $1 order by number`;

const RECIPIENTS = `
  select sites.code as site, students.sis_id as "studentId",
    students.first_name || ' ' || students.last_name as student
  from call_recipients
    join sites on sites.id = call_recipients.site_id
    left join students on students.id = call_recipients.student_id
  where call_id = $1 order by 1, 3, 2`;

// Its calls are counted: about half a second for a million. Attempts are looked up from those that are open or recent, call
// by call, whatever the statistics say: joined the other way they took seconds.
const PROGRESS = `
  with counted as (
    select state, case when state = 'done' then outcome end as outcome, count(*) as calls,
      count(*) filter (where finished_at > now() - interval '30 seconds') as recent,
      extract(epoch from max(due_at) filter (where state = 'waiting' and due_at < 'infinity') - now())::float8 as "dueInSeconds"
    from calls where broadcast_id = $1 group by 1, 2
  ), tried as (
    select count(*) filter (where attempts.state in ('claimed', 'placed')) as ringing,
      count(*) filter (where attempts.state = 'answered') as live
    from attempts
    where attempts.state <> 'ended' and (select calls.broadcast_id from calls where calls.id = attempts.call_id) = $1
  ), started as (
    select count(*) as recent
    from trunks cross join lateral (
      select call_id from attempts where trunk_id = trunks.id and claimed_at > now() - interval '5 seconds'
      offset 0
    ) tries
    where (select calls.broadcast_id from calls where calls.id = tries.call_id) = $1
  )
  select broadcasts.state, broadcasts.prepared_at is not null as prepared,
    extract(epoch from now() - broadcasts.started_at)::float8 as "runsForSeconds",
    (select coalesce(jsonb_agg(counted), '[]') from counted) as counted,
    (select ringing from tried), (select live from tried), (select recent from started) as "startedRecently"
  from broadcasts where id = $1`;

interface ProgressRow {
  state: BroadcastState;
  prepared: boolean;
  runsForSeconds: number | null;
  counted: {
    state: CallState;
    outcome: Outcome | null;
    calls: number;
    recent: number;
    dueInSeconds: number | null;
  }[];
  ringing: number;
  live: number;
  startedRecently: number;
}

const START_RATE_SECONDS = 5;
const FINISH_RATE_SECONDS = 30;

/**
 * Calls in the order they were planned; `after` is the id of the last one of the page before. The outcome
 * `pending` means: not done.
 */
export async function listCalls(
  db: Queryable,
  filter: {
    broadcast?: string | undefined;
    outcome?: Outcome | 'pending' | undefined;
    after?: string | undefined;
    limit: number;
  },
): Promise<Call[]> {
  const { broadcast = null, outcome = null, after = null, limit } = filter;
  return rows<Call>(db, LIST, [broadcast, outcome, after, limit]);
}

/** The call with its attempts and those for whom it is, or undefined. */
export async function getCall(db: Queryable, id: string): Promise<CallDetail | undefined> {
  const call = await maybeOne<Omit<CallDetail, 'attempts' | 'recipients'>>(db, GET, [id]);
  if (call === undefined) return undefined;
  const [attempts, recipients] = await Promise.all([
    rows<Attempt>(db, ATTEMPTS, [id]),
    rows<Recipient>(db, RECIPIENTS, [id]),
  ]);
  return { ...call, recipients, attempts };
}

/** How far the broadcast is, in one statement and so of one moment, by the database's clock; undefined when there is none. */
export async function broadcastProgress(db: Queryable, id: string): Promise<Progress | undefined> {
  const row = await maybeOne<ProgressRow>(db, PROGRESS, [id]);
  if (row === undefined) return undefined;
  const inState = (...states: CallState[]) =>
    sum(row.counted.filter(({ state }) => states.includes(state)).map(({ calls }) => calls));
  const total = sum(row.counted.map(({ calls }) => calls));
  const done = inState('done');
  const finishedRecently = sum(row.counted.map(({ recent }) => recent));
  const byOutcome = Object.fromEntries(
    row.counted.flatMap(({ outcome, calls }) => (outcome === null ? [] : [[outcome, calls]])),
  );
  return {
    state: row.state,
    total,
    planned: inState('planned'),
    waiting: inState('waiting'),
    ready: inState('ready'),
    ringing: row.ringing,
    live: row.live,
    done,
    callsPerSecond: row.startedRecently / START_RATE_SECONDS,
    byOutcome,
    secondsLeft:
      row.state === 'running' && row.prepared
        ? estimate(
            total - done,
            finishedRecently,
            row.runsForSeconds ?? 0,
            Math.max(0, ...row.counted.map(({ dueInSeconds }) => dueInSeconds ?? 0)),
          )
        : null,
  };
}

function estimate(
  open: number,
  finishedRecently: number,
  runsForSeconds: number,
  lastDueInSeconds: number,
): number | null {
  if (open === 0) return 0;
  // While everything waits for its retry, that is all that is known.
  if (finishedRecently === 0) return lastDueInSeconds > 0 ? Math.ceil(lastDueInSeconds) : null;
  // A broadcast that began a moment ago has not had the whole 30 seconds to finish calls in.
  const seconds = Math.min(FINISH_RATE_SECONDS, Math.max(1, runsForSeconds));
  return Math.ceil(Math.max((open * seconds) / finishedRecently, lastDueInSeconds));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
