/**
 * Wall clocks of IANA zones. A wall time is held as "floating" milliseconds: the reading of the clock written
 * as if it were UTC, so that plain arithmetic on days and hours needs no zone.
 */

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

interface Zone {
  formatter: Intl.DateTimeFormat;
  /** The minute asked for last and its offset: the dialer asks for the same one again and again. */
  minute: number;
  offsetMs: number;
}

// A formatter costs 50 us to make and holds about 10 KB. The IANA database has some 600 names, and only
// names that Intl knows get in, so the map cannot grow without end.
const zones = new Map<string, Zone>();

/** True for a name in the IANA database; offsets such as `+05:00`, which know no daylight saving, are not. */
export function isZone(name: string): boolean {
  return /^[A-Za-z]/.test(name) && lookUp(name) !== undefined;
}

/**
 * What to add to UTC to read the clock in `zone` at `atMs` (milliseconds since 1970), in milliseconds.
 * Throws RangeError for a zone that Intl does not know.
 */
export function offsetAt(atMs: number, zone: string): number {
  const entry = lookUp(zone);
  if (entry === undefined) throw new RangeError(`${zone} is not a time zone of the IANA database`);
  // Offsets change on whole minutes only (in St John's, until 2011, at one minute past).
  const minute = Math.floor(atMs / MINUTE_MS);
  if (entry.minute !== minute) {
    entry.offsetMs = readClock(entry.formatter, minute * MINUTE_MS) - minute * MINUTE_MS;
    entry.minute = minute;
  }
  return entry.offsetMs;
}

/** The reading of the clock in `zone`, as floating milliseconds. */
export function wallTime(at: Date, zone: string): number {
  return at.getTime() + offsetAt(at.getTime(), zone);
}

/**
 * The instant at which the clock in `zone` reads `wallMs`. A time that daylight saving skips is shifted by
 * the gap (02:30 -> 03:30); of one that comes twice it is the first. Source: RFC 5545, section 3.3.5.
 */
export function instantOf(wallMs: number, zone: string): Date {
  const before = offsetAt(wallMs - DAY_MS, zone);
  const after = offsetAt(wallMs + DAY_MS, zone);
  const early = wallMs - before;
  if (before === after || offsetAt(early, zone) === before) return new Date(early);
  const late = wallMs - after;
  return new Date(offsetAt(late, zone) === after ? late : early);
}

/** The calendar's date in `zone`, as `2026-09-14`. */
export function localDate(at: Date, zone: string): string {
  return new Date(wallTime(at, zone)).toISOString().slice(0, 10);
}

/** The reading of the clock in `zone`, as `2026-09-14 13:30:05`. */
export function localDateTime(at: Date, zone: string): string {
  return new Date(wallTime(at, zone)).toISOString().slice(0, 19).replace('T', ' ');
}

/** The midnight in `zone` that ends the day `date` (`2026-09-14`). */
export function endOfDate(date: string, zone: string): Date {
  return instantOf(Date.parse(`${date}T00:00:00Z`) + DAY_MS, zone);
}

function lookUp(name: string): Zone | undefined {
  const known = zones.get(name);
  if (known !== undefined) return known;
  try {
    const formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    const entry: Zone = { formatter, minute: Number.NaN, offsetMs: 0 };
    zones.set(name, entry);
    return entry;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readClock(formatter: Intl.DateTimeFormat, atMs: number): number {
  const read: Record<string, number> = {};
  for (const { type, value } of formatter.formatToParts(atMs)) read[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = read;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
