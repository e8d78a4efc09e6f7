/** Zones around the globe, so that one of them has early afternoon at any moment. */
const ZONES = [
  'Pacific/Honolulu',
  'America/Los_Angeles',
  'America/Denver',
  'America/New_York',
  'America/Sao_Paulo',
  'Atlantic/Azores',
  'Europe/Paris',
  'Africa/Nairobi',
  'Asia/Karachi',
  'Asia/Dhaka',
  'Asia/Bangkok',
  'Asia/Tokyo',
  'Australia/Sydney',
  'Pacific/Auckland',
];
/** When schools call: the afternoon, and far from both ends of the delivery window. */
const BEST_HOUR = 14;

/** Local date (YYYY-MM-DD) and time (HH:MM:SS) of a moment in a zone. */
export function inZone(at: Date, zone: string): { date: string; time: string } {
  // Swedish writes dates as ISO 8601 does.
  const [date = '', time = ''] = at.toLocaleString('sv-SE', { timeZone: zone }).split(' ');
  return { date, time };
}

/** The zone where it is nearest to 14:00. */
export function daytimeZone(at: Date): string {
  const distance = (zone: string) => Math.abs(Number(inZone(at, zone).time.slice(0, 2)) - BEST_HOUR);
  return ZONES.reduce((best, zone) => (distance(zone) < distance(best) ? zone : best));
}
