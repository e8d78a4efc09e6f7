import type { StoredAudience } from '../domain/audience.ts';
import { afterAction, allowedActions, type BroadcastAction } from '../domain/broadcast-state.ts';
import { type BroadcastState, type Category, URGENCY } from '../domain/terms.ts';
import { RollcallError } from '../errors.ts';
import { type Database, inTransaction, maybeOne, one, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';
import { endOpenCalls } from './queue.ts';

export interface Broadcast {
  id: string;
  title: string;
  category: Category;
  /** Lower is sooner; from the category. */
  urgency: number;
  /** One of the two: a template's name, or texts by language. */
  template: string | null;
  message: Record<string, string> | null;
  audience: StoredAudience;
  /** The broadcast that this one corrects. */
  corrects: string | null;
  /** `2026-09-14`, in the district's zone. */
  schoolDate: string;
  state: BroadcastState;
  /** Why it is missed or failed. */
  reason: string | null;
  scheduleId: string | null;
  occurrenceAt: Date | null;
  expiresAt: Date;
  preparedAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
  createdBy: string;
  createdAt: Date;
}

export interface NewBroadcast {
  title: string;
  category: Category;
  template: string | null;
  message: Record<string, string> | null;
  audience: StoredAudience;
  corrects?: string;
  schoolDate: string;
  expiresAt: Date;
  state: 'held' | 'running' | 'missed';
  reason?: string;
  /** The same key gives the same broadcast; the hash tells whether the request was the same, too. */
  idempotencyKey?: string;
  requestHash?: Buffer;
  scheduleId?: string;
  occurrenceAt?: Date;
  createdBy: string;
}

const COLUMNS = `
  id, title, category, urgency, template, message, audience, corrects, school_date as "schoolDate", state, reason,
  schedule_id as "scheduleId", occurrence_at as "occurrenceAt", expires_at as "expiresAt",
  prepared_at as "preparedAt", started_at as "startedAt", finished_at as "finishedAt",
  created_by as "createdBy", created_at as "createdAt"`;

// A concurrent insert of the same key or occurrence is waited for; then this one inserts nothing.
const CREATE = `
  insert into broadcasts (title, category, urgency, template, message, audience, school_date, state, reason,
    idempotency_key, request_hash, schedule_id, occurrence_at, expires_at, created_by, corrects, started_at,
    finished_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8::text, $9, $10, $11, $12, $13, $14, $15, $16,
    case when $8::text = 'running' then now() end, case when $8::text = 'missed' then now() end)
  on conflict do nothing
  returning ${COLUMNS}`;

const FIND_BY_KEY = `
  select ${COLUMNS}, request_hash as "requestHash" from broadcasts where idempotency_key = $1`;

const FIND_BY_OCCURRENCE = `
  select ${COLUMNS} from broadcasts where schedule_id = $1 and occurrence_at = $2`;

const GET = `select ${COLUMNS} from broadcasts where id = $1`;

// Version 7 ids grow with time, so the id is both the order and the place to go on from.
const LIST = `
  select ${COLUMNS} from broadcasts
  where ($1::uuid is null or id < $1) and ($2::date is null or school_date = $2)
    and ($3::text is null or state = $3)
  order by id desc limit $4`;

// Waits for claims in flight, which hold the row in share mode, and makes later ones see the new state. Not for
// an audience that is being planned, whose new calls hold the row's key.
const LOCK = `select state from broadcasts where id = $1 for no key update`;

const SET_STATE = `
  update broadcasts set state = $2, started_at = case when $2 = 'running' then coalesce(started_at, now())
    else started_at end
  where id = $1`;

const FINISH_WHEN_NOTHING_IS_OPEN = `
  update broadcasts set finished_at = now()
  where id = $1 and finished_at is null
    and not exists (select from calls where broadcast_id = $1 and state <> 'done')`;

const ANY_CLAIMED = `
  select exists (
    select from calls join attempts on attempts.call_id = calls.id
    where calls.broadcast_id = $1 and calls.state <> 'done' and attempts.state = 'claimed') as claimed`;

/**
 * Stores a broadcast, or gives the one that this idempotency key or this occurrence of the schedule already
 * made (`created: false`). Throws IDEMPOTENCY_MISMATCH when the key belongs to another request.
 */
export async function createBroadcast(
  db: Queryable,
  input: NewBroadcast,
): Promise<{ broadcast: Broadcast; created: boolean }> {
  const created = await maybeOne<Broadcast>(db, CREATE, [
    input.title,
    input.category,
    URGENCY[input.category],
    input.template,
    input.message && JSON.stringify(input.message),
    JSON.stringify(input.audience),
    input.schoolDate,
    input.state,
    input.reason ?? null,
    input.idempotencyKey ?? null,
    input.requestHash ?? null,
    input.scheduleId ?? null,
    input.occurrenceAt ?? null,
    input.expiresAt,
    input.createdBy,
    input.corrects ?? null,
  ]);
  if (created !== undefined) return { broadcast: created, created: true };

  const { idempotencyKey, requestHash } = input;
  const existing =
    (idempotencyKey === undefined ? undefined : await findBroadcastByKey(db, idempotencyKey, requestHash)) ??
    (await maybeOne<Broadcast>(db, FIND_BY_OCCURRENCE, [input.scheduleId, input.occurrenceAt]));
  if (existing === undefined)
    throw new RollcallError('CONFLICT', 'the broadcast was removed while it was asked for; send it again');
  return { broadcast: existing, created: false };
}

/**
 * The broadcast that a request with this key made. Throws IDEMPOTENCY_MISMATCH when that request was not
 * this one.
 */
export async function findBroadcastByKey(
  db: Queryable,
  idempotencyKey: string,
  requestHash: Buffer | undefined,
): Promise<Broadcast | undefined> {
  const row = await maybeOne<Broadcast & { requestHash: Buffer | null }>(db, FIND_BY_KEY, [idempotencyKey]);
  if (row === undefined) return undefined;
  const { requestHash: earlier, ...broadcast } = row;
  const same = earlier === null ? requestHash === undefined : requestHash?.equals(earlier) === true;
  if (!same)
    throw new RollcallError(
      'IDEMPOTENCY_MISMATCH',
      'this Idempotency-Key was used for another request; take a new key for a new broadcast',
      { details: { broadcast: broadcast.id } },
    );
  return broadcast;
}

/** The broadcast, or undefined. */
export async function getBroadcast(db: Queryable, id: string): Promise<Broadcast | undefined> {
  return maybeOne<Broadcast>(db, GET, [id]);
}

/** Newest first; `after` is the id of the last one of the page before. */
export async function listBroadcasts(
  db: Queryable,
  page: {
    limit: number;
    after?: string | undefined;
    schoolDate?: string | undefined;
    state?: BroadcastState | undefined;
  },
): Promise<Broadcast[]> {
  const { limit, after = null, schoolDate = null, state = null } = page;
  return rows<Broadcast>(db, LIST, [after, schoolDate, state, limit]);
}

/**
 * Runs, pauses, resumes or stops a broadcast and wakes the dialer; a repeated action changes nothing. A stop
 * also ends the calls that wait, with the outcome `stopped` if nothing was tried; those that ring or talk go on to their end.
 * Undefined when there is no such broadcast; throws STATE_FORBIDS when its state forbids the action.
 *
 * When this returns, no new attempt can be claimed after a pause or stop; {@link hasClaimedAttempts} tells
 * whether an INVITE of an earlier claim may still leave.
 */
export async function actOnBroadcast(
  db: Database,
  id: string,
  action: BroadcastAction,
): Promise<BroadcastState | undefined> {
  const next = await inTransaction(db, async (tx) => {
    const row = await maybeOne<{ state: BroadcastState }>(tx, LOCK, [id]);
    if (row === undefined) return undefined;
    const next = afterAction(row.state, action);
    if (next === undefined) throw forbidden(row.state, action);
    if (next === row.state) return next;
    await tx.query(SET_STATE, [id, next]);
    await wakeDialer(tx);
    return next;
  });
  if (next === 'stopped') {
    // After the commit: no claim waits for this, and what is left or cut off the dialer's settling ends.
    await endOpenCalls(db, id);
    await db.query(FINISH_WHEN_NOTHING_IS_OPEN, [id]);
  }
  return next;
}

function forbidden(state: BroadcastState, action: BroadcastAction): RollcallError {
  const allowed = allowedActions(state);
  const hint =
    allowed.length === 0 ? 'nothing can be asked of it any more' : `it allows ${allowed.join(', ')}`;
  return new RollcallError('STATE_FORBIDS', `the broadcast is ${state}, which forbids ${action}; ${hint}`, {
    details: { state, action },
  });
}

/** True while an attempt is claimed whose INVITE is not known to have left. */
export async function hasClaimedAttempts(db: Queryable, id: string): Promise<boolean> {
  return (await one<{ claimed: boolean }>(db, ANY_CLAIMED, [id])).claimed;
}
