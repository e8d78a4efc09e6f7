import type { Audience } from '../domain/audience.ts';
import { checkRule, nextOccurrence } from '../domain/schedule.ts';
import type { Category } from '../domain/terms.ts';
import { RollcallError } from '../errors.ts';
import { type Database, inTransaction, maybeOne, type Queryable, rows } from './db.ts';

export interface Schedule {
  id: string;
  name: string;
  /** RFC 5545, on the wall clock of `zone`; see {@link checkRule}. */
  rrule: string;
  zone: string;
  category: Category;
  template: string;
  audience: Audience;
  /** An occurrence found later than this is recorded as missed, not called. */
  validForMinutes: number;
  enabled: boolean;
  /** null: disabled, or the rule has no further occurrence. */
  nextAt: Date | null;
  createdBy: string;
  createdAt: Date;
}

export type NewSchedule = Omit<Schedule, 'id' | 'nextAt' | 'createdAt'>;
export type SchedulePatch = Partial<Omit<NewSchedule, 'createdBy'>>;

const COLUMNS = `
  id, name, rrule, zone, category, template, audience,
  (extract(epoch from valid_for) / 60)::float8 as "validForMinutes", enabled, next_at as "nextAt",
  created_by as "createdBy", created_at as "createdAt"`;

const CREATE = `
  insert into schedules (name, rrule, zone, category, template, audience, valid_for, enabled, next_at, created_by)
  values ($1, $2, $3, $4, $5, $6, make_interval(secs => $7::float8 * 60), $8, $9, $10)
  on conflict (name) do nothing
  returning ${COLUMNS}`;

const LIST = `select ${COLUMNS} from schedules order by name`;

const GET = `select ${COLUMNS} from schedules where id = $1`;

const UPDATE = `
  update schedules set name = $2, rrule = $3, zone = $4, category = $5, template = $6, audience = $7,
    valid_for = make_interval(secs => $8::float8 * 60), enabled = $9, next_at = $10
  where id = $1
  returning ${COLUMNS}`;

const DUE = `select id from schedules where enabled and next_at <= $1 order by next_at, id`;

// Checked again under the lock: another tick may have moved it on since it was listed.
const TAKE_DUE = `${GET} and enabled and next_at <= $2 for update skip locked`;

const SET_NEXT = `update schedules set next_at = $2 where id = $1`;

const NEXT_WAKE = `select min(next_at) as at from schedules where enabled and next_at > $1`;

/**
 * Stores a schedule; its first occurrence is the first after `now`. Throws SCHEDULE_INVALID when the rule or
 * zone is refused or nothing of it lies ahead, CONFLICT when the name is taken.
 */
export async function createSchedule(db: Queryable, input: NewSchedule & { now: Date }): Promise<Schedule> {
  const created = await maybeOne<Schedule>(db, CREATE, [
    ...valuesOf(input),
    nextOf(input, input.now),
    input.createdBy,
  ]);
  if (created === undefined) throw nameTaken();
  return created;
}

/** Every schedule, by name. */
export async function listSchedules(db: Queryable): Promise<Schedule[]> {
  return rows<Schedule>(db, LIST);
}

/** The schedule, or undefined. */
export async function getSchedule(db: Queryable, id: string): Promise<Schedule | undefined> {
  return maybeOne<Schedule>(db, GET, [id]);
}

/**
 * Changes what the patch names; undefined when there is no such schedule. A new rule or zone, and switching
 * on, count from `now`: what would have fired before is not made up for. Errors as in {@link createSchedule}.
 */
export async function updateSchedule(
  db: Database,
  id: string,
  { now, ...patch }: SchedulePatch & { now: Date },
): Promise<Schedule | undefined> {
  try {
    return await inTransaction(db, async (tx) => {
      const stored = await maybeOne<Schedule>(tx, `${GET} for update`, [id]);
      if (stored === undefined) return undefined;
      const next: Schedule = { ...stored, ...patch };
      const same =
        next.rrule === stored.rrule && next.zone === stored.zone && next.enabled === stored.enabled;
      const nextAt = same ? stored.nextAt : nextOf(next, now);
      return maybeOne<Schedule>(tx, UPDATE, [id, ...valuesOf(next), nextAt]);
    });
  } catch (error) {
    // unique_violation: the name is the table's only key that an update can hit.
    if ((error as { code?: string }).code === '23505') throw nameTaken();
    throw error;
  }
}

/** The ids of the schedules whose next occurrence has come, the most overdue first. */
export async function dueScheduleIds(db: Queryable, now: Date): Promise<string[]> {
  return (await rows<{ id: string }>(db, DUE, [now])).map(({ id }) => id);
}

/**
 * Locks a due schedule for the rest of the transaction. Undefined when it is no longer due, or when another
 * tick is at it.
 */
export async function takeDueSchedule(tx: Queryable, id: string, now: Date): Promise<Schedule | undefined> {
  return maybeOne<Schedule>(tx, TAKE_DUE, [id, now]);
}

/** Moves a schedule on to its next occurrence; null when it has none left. */
export async function setNext(tx: Queryable, id: string, nextAt: Date | null): Promise<void> {
  await tx.query(SET_NEXT, [id, nextAt]);
}

/** When the next occurrence after `now` is due, over all schedules; null when there is none. */
export async function nextWake(db: Queryable, now: Date): Promise<Date | null> {
  return (await maybeOne<{ at: Date | null }>(db, NEXT_WAKE, [now]))?.at ?? null;
}

function valuesOf(input: Omit<NewSchedule, 'createdBy'>): unknown[] {
  const { name, rrule, zone, category, template, audience, validForMinutes, enabled } = input;
  return [name, rrule, zone, category, template, JSON.stringify(audience), validForMinutes, enabled];
}

function nextOf(
  { rrule, zone, enabled }: Pick<NewSchedule, 'rrule' | 'zone' | 'enabled'>,
  now: Date,
): Date | null {
  const check = checkRule(rrule, zone);
  if (!check.ok) throw new RollcallError('SCHEDULE_INVALID', check.problem, { details: { rrule, zone } });
  if (!enabled) return null;
  const next = nextOccurrence(rrule, zone, now);
  if (next === null)
    throw new RollcallError('SCHEDULE_INVALID', 'the rule has no occurrence left; give it a later end', {
      details: { rrule, zone },
    });
  return next;
}

function nameTaken(): RollcallError {
  return new RollcallError('CONFLICT', 'there is a schedule of this name; choose another name');
}
