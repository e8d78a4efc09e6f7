import type { Policy } from './policy.ts';
import { offsetAt } from './zoned-time.ts';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;

type Hours = Pick<Policy, 'window' | 'blackout'>;

/**
 * True when a phone whose clock is that of `zone` may ring at `at`: inside the window and outside the
 * blackout. Starts are inclusive, ends exclusive, and both may span midnight. Equal ends mean no limit: a
 * window 00:00 to 00:00 is the whole day, a blackout 00:00 to 00:00 is none.
 */
export function mayCall(at: Date, zone: string, policy: Hours): boolean {
  return isOpen(minuteOfDay(at.getTime(), zone), policy);
}

/**
 * The first moment, not before `at`, when {@link mayCall} is true: `at` itself, or the start of a minute.
 * Undefined when the blackout covers the whole window, so that it never is.
 */
export function nextOpening(at: Date, zone: string, policy: Hours): Date | undefined {
  if (mayCall(at, zone, policy)) return at;
  let from = Math.ceil(at.getTime() / MINUTE_MS) * MINUTE_MS;
  for (;;) {
    const wait = minutesUntilOpen(minuteOfDay(from, zone), policy);
    if (wait === undefined) return undefined;
    const opening = from + wait * MINUTE_MS;
    const change = firstChange(from, opening, zone);
    if (change === undefined) return new Date(opening);
    // The clock jumps on the way: what was counted holds only up to there.
    from = change;
  }
}

const STEP_MINUTES = 15;

/**
 * The stretches of time from `at` to `until` in which {@link mayCall} is true, as ms after `at`. For
 * forecasts: a pause of less than a quarter of an hour may be overlooked.
 */
export function openSpans(
  at: Date,
  until: Date,
  zone: string,
  policy: Hours,
): { fromMs: number; untilMs: number }[] {
  const spans: { fromMs: number; untilMs: number }[] = [];
  const end = until.getTime();
  for (let from = at; from.getTime() < end; ) {
    const opening = nextOpening(from, zone, policy);
    if (opening === undefined || opening.getTime() >= end) break;
    const closing = Math.min(end, closingAfter(opening.getTime(), end, zone, policy));
    spans.push({ fromMs: opening.getTime() - at.getTime(), untilMs: closing - at.getTime() });
    from = new Date(closing);
  }
  return spans;
}

/** The first minute after `opening` that is closed; `end` or later when there is none before. */
function closingAfter(opening: number, end: number, zone: string, policy: Hours): number {
  let open = Math.floor(opening / MINUTE_MS) * MINUTE_MS;
  let closed = open;
  do {
    open = closed;
    closed += STEP_MINUTES * MINUTE_MS;
    if (closed >= end) break;
  } while (mayCall(new Date(closed), zone, policy));
  while (closed - open > MINUTE_MS) {
    const middle = open + Math.floor((closed - open) / MINUTE_MS / 2) * MINUTE_MS;
    if (mayCall(new Date(middle), zone, policy)) open = middle;
    else closed = middle;
  }
  return closed;
}

function minuteOfDay(atMs: number, zone: string): number {
  const minutes = Math.floor((atMs + offsetAt(atMs, zone)) / MINUTE_MS) % DAY_MINUTES;
  return minutes < 0 ? minutes + DAY_MINUTES : minutes;
}

function isOpen(minute: number, { window, blackout }: Hours): boolean {
  const inWindow = window.opens === window.closes || isBetween(minute, window.opens, window.closes);
  return inWindow && !isBetween(minute, blackout.from, blackout.until);
}

function isBetween(minute: number, from: string, until: string): boolean {
  const start = minutesOf(from);
  const end = minutesOf(until);
  return start <= end ? minute >= start && minute < end : minute >= start || minute < end;
}

/** Minutes from `minute` to the next open one by a clock that does not jump: 0 when it is open. */
function minutesUntilOpen(minute: number, policy: Hours): number | undefined {
  // A closed time can only end where the window opens or the blackout ends.
  const starts = [minute, minutesOf(policy.window.opens), minutesOf(policy.blackout.until)];
  const waits = starts
    .filter((start) => isOpen(start, policy))
    .map((start) => (start - minute + DAY_MINUTES) % DAY_MINUTES);
  return waits.length === 0 ? undefined : Math.min(...waits);
}

/** The first minute after `from`, up to `until`, whose offset is not that of `from`. */
function firstChange(from: number, until: number, zone: string): number | undefined {
  const offset = offsetAt(from, zone);
  if (offsetAt(until, zone) === offset) return undefined;
  let same = from;
  let changed = until;
  // At most one change within a day, so halving finds it.
  while (changed - same > MINUTE_MS) {
    const middle = same + Math.floor((changed - same) / MINUTE_MS / 2) * MINUTE_MS;
    if (offsetAt(middle, zone) === offset) same = middle;
    else changed = middle;
  }
  return changed;
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}
