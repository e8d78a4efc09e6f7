import type { Clock } from '../clock.ts';
import { latestOccurrence, nextOccurrence } from '../domain/schedule.ts';
import { endOfDate, localDate } from '../domain/zoned-time.ts';
import type { Log } from '../log.ts';
import { createBroadcast } from '../store/broadcasts.ts';
import { type Database, inTransaction, type Queryable } from '../store/db.ts';
import { dueScheduleIds, type Schedule, setNext, takeDueSchedule } from '../store/schedules.ts';

export interface TickDeps {
  db: Database;
  clock: Clock;
  log: Log;
}

const MINUTE_MS = 60_000;

/**
 * Makes the broadcasts of every schedule whose time has come and moves the schedules on, each in one
 * transaction, so that an occurrence is neither lost nor run twice, whatever crashes and however many ticks
 * run at once. Returns the ids of the new broadcasts that run. A schedule that fails is logged and tried
 * again at the next tick; it does not hold up the others.
 *
 * Of several occurrences that came due during an outage only the last makes a broadcast: it runs while it is
 * valid, and is recorded as `missed` when it is not. The same families must not be called twice for what one
 * outage delayed.
 */
export async function runDueSchedules({ db, clock, log }: TickDeps): Promise<string[]> {
  const now = clock.now();
  const created: string[] = [];
  for (const id of await dueScheduleIds(db, now)) {
    try {
      const result = await inTransaction(db, (tx) => runDue(tx, id, now));
      if (result === undefined) continue;
      log.info({ schedule: id, ...result }, 'schedule came due');
      if (result.state === 'running') created.push(result.broadcast);
    } catch (error) {
      log.error({ schedule: id, err: error }, 'schedule could not be run');
    }
  }
  return created;
}

interface Due {
  broadcast: string;
  state: 'running' | 'missed';
  occurrence: Date;
  /** The first occurrence that came due; earlier than `occurrence` after an outage. */
  dueSince: Date;
}

async function runDue(tx: Queryable, id: string, now: Date): Promise<Due | undefined> {
  const schedule = await takeDueSchedule(tx, id, now);
  if (schedule === undefined || schedule.nextAt === null) return undefined;
  const { rrule, zone, nextAt } = schedule;
  const occurrence = latestOccurrence(rrule, zone, nextAt, now);
  const { broadcast, created } = await createBroadcast(tx, broadcastOf(schedule, occurrence, now));
  await setNext(tx, id, nextOccurrence(rrule, zone, now));
  if (!created) return undefined;
  const state = broadcast.state === 'missed' ? 'missed' : 'running';
  return { broadcast: broadcast.id, state, occurrence, dueSince: nextAt };
}

function broadcastOf(schedule: Schedule, occurrence: Date, now: Date) {
  const { id, name, zone, category, template, audience, validForMinutes, createdBy } = schedule;
  const schoolDate = localDate(occurrence, zone);
  // The message speaks of its day: it is stale at midnight, however long the schedule lets it be valid.
  const expiresAt = endOfDate(schoolDate, zone);
  const validUntil = occurrence.getTime() + validForMinutes * MINUTE_MS;
  const lateMinutes = Math.floor((now.getTime() - occurrence.getTime()) / MINUTE_MS);
  const missed = now.getTime() > validUntil || now >= expiresAt;
  return {
    title: `${name}, ${schoolDate}`,
    category,
    template,
    message: null,
    audience,
    schoolDate,
    expiresAt,
    state: missed ? ('missed' as const) : ('running' as const),
    ...(missed && {
      reason: `found ${lateMinutes} min after its time; it was valid for ${validForMinutes} min of its own day`,
    }),
    scheduleId: id,
    occurrenceAt: occurrence,
    createdBy,
  };
}
