import type { BroadcastState, Category, HeardLevel, Outcome } from '../domain/terms.ts';
import type { Database, Queryable } from './db.ts';
import { rows } from './db.ts';

/** What a line or a total of the Message Tracking report is about. A call that is not done is `pending`. */
export type TrackedOutcome = Outcome | 'pending';

export interface TrackingFilter {
  /** The broadcasts' school date. */
  date: string;
  site?: string | undefined;
  broadcast?: string | undefined;
}

/** One person to be told, on one phone: a row of call_recipients. Siblings share a call, not a line. */
export interface TrackingLine {
  callId: string;
  site: string;
  broadcastId: string;
  broadcast: string;
  category: Category;
  sentBy: string;
  /** The SIS's id; null for a number that came with the request. */
  studentId: string | null;
  student: string | null;
  /** E.164; null when the student has no number. */
  phone: string | null;
  language: string;
  attempts: number;
  firstAttemptAt: Date | null;
  lastAttemptAt: Date | null;
  outcome: TrackedOutcome;
  heard: HeardLevel;
  heardMs: number;
  messageMs: number | null;
  /** Of the last attempt that got a final response. */
  sipCode: number | null;
  interrupted: boolean;
}

/** The last line of a page; opaque to clients. */
export interface TrackingPosition {
  site: string;
  callId: string;
  studentKey: string;
}

/** How many lines of a site have this outcome and heard level. */
export interface TrackingCount {
  site: string;
  outcome: TrackedOutcome;
  heard: HeardLevel;
  lines: number;
}

export interface TrackedBroadcast {
  id: string;
  title: string;
  category: Category;
  state: BroadcastState;
  reason: string | null;
}

const OUTCOME = `case when calls.state = 'done' then calls.outcome else 'pending' end`;

const FROM = `
  from broadcasts
    join calls on calls.broadcast_id = broadcasts.id
    join call_recipients on call_recipients.call_id = calls.id
    join sites on sites.id = call_recipients.site_id`;

const WHERE = `
  where broadcasts.school_date = $1 and ($2::text is null or sites.code = $2)
    and ($3::uuid is null or broadcasts.id = $3)`;

const COUNTS = `
  select sites.code as site, ${OUTCOME} as outcome, calls.heard, count(*) as lines
  ${FROM} ${WHERE} group by 1, 2, 3`;

const BROADCASTS = `
  select id, title, category, state, reason from broadcasts
  where school_date = $1 and ($2::uuid is null or id = $2) order by id`;

// Unique per line: a call has one recipient without a student per site at most.
const STUDENT_KEY = `coalesce(call_recipients.student_id, '00000000-0000-0000-0000-000000000000')`;

const CHOSEN = `
  select calls.*, sites.code as site, broadcasts.title, broadcasts.category, broadcasts.created_by,
    ${OUTCOME} as tracked, call_recipients.student_id, ${STUDENT_KEY} as student_key
  ${FROM} ${WHERE} and ($4::text is null or ${OUTCOME} = $4)`;

const PAGE_OF_CHOSEN = `${CHOSEN}
  and ($5::text is null or (sites.code, calls.id, ${STUDENT_KEY}) > ($5, $6::uuid, $7::uuid))
  order by sites.code, calls.id, ${STUDENT_KEY} limit $8`;

// The attempts are looked up after the page is cut, so that a page does not read those of the whole day.
const linesOf = (chosen: string) => `
  select line.id as "callId", line.site, line.broadcast_id as "broadcastId", line.title as broadcast,
    line.category, line.created_by as "sentBy", students.sis_id as "studentId",
    students.first_name || ' ' || students.last_name as student, line.phone, line.language, tried.attempts,
    tried."firstAttemptAt", tried."lastAttemptAt", line.tracked as outcome, line.heard,
    line.heard_ms as "heardMs", prompts.duration_ms as "messageMs", tried."sipCode", tried.interrupted,
    line.student_key as "studentKey"
  from (${chosen}) line
    left join students on students.id = line.student_id
    left join prompts on prompts.hash = line.prompt_hash
    cross join lateral (
      select count(*) as attempts, min(claimed_at) as "firstAttemptAt", max(claimed_at) as "lastAttemptAt",
        (array_agg(sip_code order by number desc) filter (where sip_code is not null))[1] as "sipCode",
        coalesce(bool_or(attempts.interrupted), false) as interrupted
      from attempts where attempts.call_id = line.id
    ) tried
  order by line.site, line.id, line.student_key`;

const PAGE = linesOf(PAGE_OF_CHOSEN);

// A cursor sorts once and reads one snapshot; pages by key would sort the whole day again for each.
const CURSOR = `declare tracking no scroll cursor for ${linesOf(CHOSEN)}`;
const FETCH_LINES = 500;
const FETCH = `fetch forward ${FETCH_LINES} from tracking`;

/** A reader that takes nothing for this long loses its connection, so that it cannot hold one for ever. */
const SLOW_READER_SECONDS = 60;

/** Lines per site, outcome and heard level: the report's totals, before any filter by outcome. */
export async function trackingCounts(db: Queryable, filter: TrackingFilter): Promise<TrackingCount[]> {
  return rows<TrackingCount>(db, COUNTS, scope(filter));
}

/** The broadcasts of the day, also those that called nobody: a missed run must be seen. */
export async function trackedBroadcasts(
  db: Queryable,
  { date, broadcast }: { date: string; broadcast?: string | undefined },
): Promise<TrackedBroadcast[]> {
  return rows<TrackedBroadcast>(db, BROADCASTS, [date, broadcast ?? null]);
}

/** A page of lines by site, call and student, and where the next one begins (undefined: this was the last). */
export async function trackingPage(
  db: Queryable,
  filter: TrackingFilter & {
    outcome?: TrackedOutcome | undefined;
    after?: TrackingPosition | undefined;
    limit: number;
  },
): Promise<{ lines: TrackingLine[]; next: TrackingPosition | undefined }> {
  const { outcome = null, after, limit } = filter;
  const found = await rows<TrackingLine & { studentKey: string }>(db, PAGE, [
    ...scope(filter),
    outcome,
    after?.site ?? null,
    after?.callId ?? null,
    after?.studentKey ?? null,
    limit + 1,
  ]);
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return {
    lines: page,
    next: last && { site: last.site, callId: last.callId, studentKey: last.studentKey },
  };
}

/**
 * All lines, 500 at a time, from one snapshot. Holds one connection until it is read to its end or returned;
 * memory stays flat however many lines there are.
 */
export async function* trackingLines(
  db: Database,
  filter: TrackingFilter & { outcome?: TrackedOutcome | undefined },
): AsyncGenerator<TrackingLine[], void, undefined> {
  const client = await db.connect();
  let broken: Error | undefined;
  // Without a listener the loss of a connection between two fetches would end the process.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('begin transaction read only');
    await client.query(`set local idle_in_transaction_session_timeout = '${SLOW_READER_SECONDS}s'`);
    // It is read to its end: a plan that is quick with the first lines and slow with all of them is wrong.
    await client.query('set local cursor_tuple_fraction = 1');
    await client.query(CURSOR, [...scope(filter), filter.outcome ?? null]);
    for (;;) {
      const lines = await rows<TrackingLine>(client, FETCH);
      if (lines.length > 0) yield lines;
      if (lines.length < FETCH_LINES) return;
    }
  } finally {
    if (broken === undefined) await client.query('rollback').catch(onError);
    client.off('error', onError);
    client.release(broken);
  }
}

const scope = ({ date, site, broadcast }: TrackingFilter): unknown[] => [
  date,
  site ?? null,
  broadcast ?? null,
];
