import { Readable } from 'node:stream';
import { z } from 'zod';
import { BROADCAST_STATES, CATEGORIES, HEARD_LEVELS } from '../../domain/terms.ts';
import { localDate } from '../../domain/zoned-time.ts';
import { RollcallError } from '../../errors.ts';
import { unknownSites } from '../../store/district.ts';
import { trackingLines } from '../../store/reports.ts';
import { requireDistrict } from '../check-audience.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { day, id, pageLimit, siteCode, streamed, trackedOutcome } from '../schemas.ts';
import { TRACKING_COLUMNS, trackingCsv } from '../tracking-csv.ts';
import { trackingReport } from '../tracking-report.ts';

const tags = ['Reports'];

const LINE = {
  callId: '01991f6e-8a11-7c01-8000-3f0a5f3b9d01',
  site: 'LINC',
  broadcastId: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  broadcast: 'Attendance, elementary',
  category: 'attendance',
  sentBy: 'schedule',
  studentId: '100123',
  student: 'Maria Peña',
  phone: '+13035550142',
  language: 'es',
  attempts: 1,
  firstAttemptAt: '2026-09-14T19:30:31.002Z',
  lastAttemptAt: '2026-09-14T19:30:31.002Z',
  outcome: 'confirmed',
  heard: 'confirmed',
  heardMs: 14_200,
  messageMs: 14_200,
  sipCode: 200,
  interrupted: false,
};
const TOTALS = {
  recipients: 43,
  byOutcome: { confirmed: 30, voicemail: 9, busy: 1 },
  pending: 3,
  heard: { confirmed: 30, voicemail: 9, none: 1 },
  total: 43,
};
const REPORT = {
  date: '2026-09-14',
  broadcasts: [
    { id: LINE.broadcastId, title: LINE.broadcast, category: 'attendance', state: 'running', reason: null },
  ],
  sites: [{ code: 'LINC', name: 'Lincoln Elementary', ...TOTALS }],
  district: TOTALS,
  lines: [LINE],
  next: null,
};

const count = z.number().int();
const totals = z.object({
  recipients: count.describe('Lines of the report: one per person to be told and phone'),
  byOutcome: z.partialRecord(trackedOutcome.exclude(['pending']), count).describe('Of calls that are done'),
  pending: count.describe('Of calls that are not done'),
  heard: z.partialRecord(z.enum(HEARD_LEVELS), count).describe('Of calls that are done'),
  total: count.describe('Sum of `byOutcome`, and `pending`; always the same as `recipients`'),
});
const trackingLine = z.object({
  callId: id,
  site: z.string(),
  broadcastId: id,
  broadcast: z.string(),
  category: z.enum(CATEGORIES),
  sentBy: z.string(),
  studentId: z.string().nullable(),
  student: z.string().nullable(),
  phone: z.string().nullable(),
  language: z.string(),
  attempts: count,
  firstAttemptAt: z.date().nullable(),
  lastAttemptAt: z.date().nullable(),
  outcome: trackedOutcome,
  heard: z.enum(HEARD_LEVELS),
  heardMs: count,
  messageMs: count.nullable(),
  sipCode: count.nullable(),
  interrupted: z.boolean(),
});
const report = z
  .object({
    date: z.string(),
    broadcasts: z.array(
      z.object({
        id,
        title: z.string(),
        category: z.enum(CATEGORIES),
        state: z.enum(BROADCAST_STATES),
        reason: z.string().nullable(),
      }),
    ),
    sites: z.array(totals.extend({ code: z.string(), name: z.string() })),
    district: totals,
    lines: z.array(trackingLine),
    next: z.string().nullable(),
  })
  .meta({ examples: [REPORT] });

const filter = z.strictObject({
  date: day.optional().describe("School date; today in the district's zone without it"),
  site: siteCode.optional(),
  broadcast: id.optional(),
  outcome: trackedOutcome.optional().describe('Chooses lines; the totals stay those of all lines'),
});

/** Each export holds one of the pool's connections while its client reads. */
const EXPORTS_AT_ONCE = 3;

export function reportRoutes(app: Api, { db, clock }: Pick<ApiDeps, 'db' | 'clock'>): void {
  let exports = 0;

  const scopeOf = async <Q extends z.infer<typeof filter>>(query: Q) => {
    const district = await requireDistrict(db);
    const unknown = query.site === undefined ? [] : await unknownSites(db, [query.site]);
    if (unknown.length > 0) throw new RollcallError('NOT_FOUND', `no site has the code ${query.site}`);
    const date = query.date ?? localDate(clock.now(), district.zone);
    return { district, filter: { ...query, date } };
  };

  app.get(
    '/v1/reports/message-tracking',
    {
      schema: {
        tags,
        summary: 'Message Tracking: who was to be told, and what became of it',
        description:
          'Totals of every site and of the district, and a page of lines by site. A call shared by siblings has a line for each of them, under the school of each.',
        querystring: filter.extend({ after: z.string().max(300).optional(), limit: pageLimit }),
        response: { 200: report },
      },
    },
    async ({ query }) => trackingReport(db, (await scopeOf(query)).filter),
  );

  app.get(
    '/v1/reports/message-tracking.csv',
    {
      schema: {
        tags,
        summary: 'Message Tracking as a CSV file for a spreadsheet',
        description:
          "UTF-8 with a byte-order mark, so that spreadsheets read accents right; CRLF; times on the district’s clock. Text that a spreadsheet would run (it begins with = + - @, a tab or a line break, also behind quotes and blanks) gets a leading apostrophe. Phone numbers are written 1-303-555-0142; numbers outside North America stay in E.164 form and get the apostrophe: '+442079460000.",
        querystring: filter,
        response: {
          200: {
            description: `Columns: ${TRACKING_COLUMNS.join(', ')}`,
            content: {
              'text/csv': { schema: streamed(`${TRACKING_COLUMNS.join(',')}\r\n`) },
            },
          },
        },
      },
    },
    async ({ query }, reply) => {
      const { district, filter } = await scopeOf(query);
      if (exports >= EXPORTS_AT_ONCE)
        throw new RollcallError('RATE_LIMITED', 'other reports are being downloaded; try again in a moment');
      exports += 1;
      const stream = Readable.from(trackingCsv(trackingLines(db, filter), filter.date, district.zone));
      stream.once('close', () => {
        exports -= 1;
      });
      return reply
        .header('content-type', 'text/csv; charset=utf-8')
        .header('content-disposition', `attachment; filename="message-tracking-${filter.date}.csv"`)
        .send(stream);
    },
  );
}
