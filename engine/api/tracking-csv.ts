import { csvLine, csvPhone } from '../domain/csv-cell.ts';
import { localDateTime } from '../domain/zoned-time.ts';
import type { TrackingLine } from '../store/reports.ts';

export const TRACKING_COLUMNS = [
  'date',
  'site',
  'broadcast',
  'category',
  'sent by',
  'student id',
  'student',
  'phone',
  'language',
  'attempts',
  'first attempt',
  'last attempt',
  'outcome',
  'heard',
  'heard seconds',
  'message seconds',
  'SIP code',
  'interrupted',
] as const;

// Without it Excel reads UTF-8 as the machine's own code page: PeÃ±a.
const BYTE_ORDER_MARK = '\ufeff';

/** The Message Tracking report as CSV, a chunk per batch of lines; times on the clock of `zone`. */
export async function* trackingCsv(
  batches: AsyncIterable<TrackingLine[]>,
  date: string,
  zone: string,
): AsyncGenerator<string, void, undefined> {
  yield BYTE_ORDER_MARK + csvLine(TRACKING_COLUMNS);
  for await (const lines of batches) yield lines.map((line) => csvLine(cells(line, date, zone))).join('');
}

function cells(line: TrackingLine, date: string, zone: string): (string | number | null)[] {
  return [
    date,
    line.site,
    line.broadcast,
    line.category,
    line.sentBy,
    line.studentId,
    line.student,
    csvPhone(line.phone),
    line.language,
    line.attempts,
    line.firstAttemptAt && localDateTime(line.firstAttemptAt, zone),
    line.lastAttemptAt && localDateTime(line.lastAttemptAt, zone),
    line.outcome,
    line.heard,
    seconds(line.heardMs),
    line.messageMs === null ? null : seconds(line.messageMs),
    line.sipCode,
    line.interrupted ? 'yes' : 'no',
  ];
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
