/** True for a time zone that this engine's ICU knows. */
export function isZone(zone: string): boolean {
  // Offsets such as +07:00 are accepted by Intl, but have no daylight-saving rules.
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** `2026-09-14 13:30:05` on the clock of `zone`. */
export function localTime(instant: Date, zone: string): string {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    // Swedish writes dates as ISO 8601 does.
    formatter = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
    formatters.set(zone, formatter);
  }
  return formatter.format(instant);
}

/** `2026-09-14`: the date in `zone`. */
export function dateIn(zone: string, instant: Date): string {
  return localTime(instant, zone).slice(0, 10);
}

/** The midnight in `zone` that ends the day `date` (`2026-09-14`). */
export function endOfDay(date: string, zone: string): Date {
  const wall = Date.parse(`${date}T00:00:00Z`) + 24 * 3_600_000;
  const offsetAt = (time: number) =>
    Date.parse(`${localTime(new Date(time), zone).replace(' ', 'T')}Z`) - Math.floor(time / 1000) * 1000;
  // The offset at the first guess may be the other side of a daylight-saving change; the second is right.
  const guess = wall - offsetAt(wall);
  return new Date(wall - offsetAt(guess));
}
