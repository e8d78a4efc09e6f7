import rrule, { type RRule as Rule } from 'rrule';
import { listOf, type ParsedRule, parseRule, RuleProblem } from './schedule-text.ts';
import { instantOf, isZone, wallTime } from './zoned-time.ts';

/**
 * Recurrence rules of RFC 5545 on the wall clock of a zone. Only the recurrence
 * itself is rrule's, in floating time: its own zones go through the process's, and it looks for an impossible
 * date until the year 9999 (14 s for a daily rule).
 */

const { RRule } = rrule;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
const SHORTEST_PAUSE_MS = 15 * 60_000;
const SEARCH_MS = 40 * 366 * DAY_MS;
const SAMPLE_MS = 2 * 366 * DAY_MS;
const SAMPLE_SIZE = 1_000;

// The calendar repeats exactly every 400 years (20,871 weeks). Searching 7,600 years ahead leaves rrule at
// most 400 years to its end: a monthly rule without any occurrence takes 30 ms to refuse instead of 640.
const AHEAD_MS = 19 * 20_871 * WEEK_MS;

export type RuleCheck = { ok: true } | { ok: false; problem: string };

/**
 * Checks a rule: one RRULE (the prefix `RRULE:` may be left out), with optional DTSTART and EXDATE lines in
 * the zone's local time; `EXDATE;VALUE=DATE:20261126` takes out a whole day. Refused with a sentence for
 * people: unknown parts and zones, rules that never fire, and those that fire more than once in 15 minutes.
 */
export function checkRule(text: string, zone: string): RuleCheck {
  try {
    if (!isZone(zone))
      throw new RuleProblem(
        'the zone is not in the IANA time zone database; write one such as America/Denver',
      );
    const parsed = parseRule(text, zone);
    if (!fires(parsed)) throw new RuleProblem('the rule never fires; check its dates against each other');
    return { ok: true };
  } catch (error) {
    if (error instanceof RuleProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

/**
 * The first occurrence after `after`, or null when there is none. The rule must have passed
 * {@link checkRule}. A time that daylight saving skips fires once, later by the gap; one that comes twice
 * fires the first time. Without DTSTART, INTERVAL counts from Monday, 1 January 2001.
 */
export function nextOccurrence(text: string, zone: string, after: Date): Date | null {
  const parsed = parseRule(text, zone);
  let next: Date | null = null;
  // No gap is longer than a day (Samoa left one out), so nothing earlier can be shifted past `after`.
  walk(parsed, wallTime(after, zone) - DAY_MS, (wallMs) => {
    if (next !== null && wallMs >= wallTime(next, zone)) return false;
    const at = instantOf(wallMs, zone);
    if (at > after && (next === null || at < next)) next = at;
    return true;
  });
  return next;
}

/**
 * The last occurrence at or before `until`, given that `first` is one at or before it: where to go on after
 * an outage without walking through all that was missed.
 */
export function latestOccurrence(text: string, zone: string, first: Date, until: Date): Date {
  for (let back = DAY_MS; ; back *= 8) {
    const from = new Date(Math.max(first.getTime(), until.getTime() - back));
    let latest: Date | null = from.getTime() === first.getTime() ? first : null;
    let next = nextOccurrence(text, zone, from);
    while (next !== null && next <= until) {
      latest = next;
      next = nextOccurrence(text, zone, next);
    }
    if (latest !== null) return latest;
  }
}

/** Calls `visit` with the occurrences from `fromMs` on, in order, until it returns false. */
function walk(parsed: ParsedRule, fromMs: number, visit: (wallMs: number) => boolean): void {
  const { untilMs = Number.POSITIVE_INFINITY, excluded, excludedDays } = parsed;
  toRule(parsed, fromMs).all((date) => {
    const wallMs = date.getTime() - AHEAD_MS;
    if (wallMs > untilMs) return false;
    const out =
      wallMs < fromMs || excluded.has(wallMs) || excludedDays.has(Math.floor(wallMs / DAY_MS) * DAY_MS);
    return out || visit(wallMs);
  });
}

function toRule({ options, startMs }: ParsedRule, fromMs: number): Rule {
  const { freq, interval = 1, count } = options;
  const stepMs = interval * (freq === RRule.DAILY ? DAY_MS : freq === RRule.WEEKLY ? WEEK_MS : 0);
  // Begin close to where the answer is; a COUNT has to be counted from the start.
  const steps = stepMs === 0 || count != null ? 0 : Math.max(0, Math.floor((fromMs - startMs) / stepMs));
  return new RRule({ ...options, dtstart: new Date(startMs + steps * stepMs + AHEAD_MS) });
}

function fires(parsed: ParsedRule): boolean {
  if (!hasDay(parsed)) return false;
  let seen = 0;
  let fired = false;
  let lastMs = Number.NEGATIVE_INFINITY;
  walk(parsed, parsed.startMs, (wallMs) => {
    fired = true;
    if (wallMs - lastMs < SHORTEST_PAUSE_MS)
      throw new RuleProblem('the rule fires more often than once in 15 minutes; leave more time between');
    lastMs = wallMs;
    seen += 1;
    return seen < SAMPLE_SIZE && wallMs - parsed.startMs < SAMPLE_MS;
  });
  return fired;
}

/** Whether a daily rule meets its own BYDAY, BYMONTH and BYMONTHDAY: rrule would look for seconds. */
function hasDay({ options, startMs }: ParsedRule): boolean {
  if (options.freq !== RRule.DAILY) return true;
  const weekdays = listOf(options.byweekday).map((day) => (day instanceof rrule.Weekday ? day.weekday : day));
  const months = listOf(options.bymonth);
  const monthDays = listOf(options.bymonthday);
  const stepMs = (options.interval ?? 1) * DAY_MS;
  for (let ms = startMs; ms < startMs + SEARCH_MS; ms += stepMs) {
    const date = new Date(ms);
    const day = date.getUTCDate();
    const length = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
    if (
      (weekdays.length === 0 || weekdays.includes((date.getUTCDay() + 6) % 7)) &&
      (months.length === 0 || months.includes(date.getUTCMonth() + 1)) &&
      (monthDays.length === 0 || monthDays.includes(day) || monthDays.includes(day - length - 1))
    )
      return true;
  }
  return false;
}
