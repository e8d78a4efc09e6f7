import { createHash } from 'node:crypto';
import { z } from 'zod';
import { audienceSchema } from '../domain/audience.ts';
import { CATEGORIES, type Category } from '../domain/terms.ts';
import { endOfDate, localDate } from '../domain/zoned-time.ts';
import { type Broadcast, createBroadcast, findBroadcastByKey } from '../store/broadcasts.ts';
import { checkAudience, requireDistrict, requireTemplate } from './check-audience.ts';
import type { ApiDeps } from './deps.ts';
import { fieldErrors } from './problem.ts';
import { day, line, paragraph } from './schemas.ts';

const LONGEST_MESSAGE = 2_000;
const EMERGENCY_LASTS_MS = 24 * 3_600_000;
const EMERGENCIES: readonly Category[] = ['emergency', 'emergency_school_hours'];

export const NEW_BROADCAST_EXAMPLE = {
  title: 'Snow day, 2 February',
  category: 'schools_out',
  message: {
    en: 'All Adams 12 schools are closed today, because of snow.',
    es: 'Todas las escuelas de Adams 12 están cerradas hoy por la nieve.',
  },
  audience: { kind: 'students' },
  start: true,
};

/** A broadcast's own words, by language. */
export const messageTexts = z
  .strictObject({ en: paragraph(LONGEST_MESSAGE).optional(), es: paragraph(LONGEST_MESSAGE).optional() })
  .refine((texts) => texts.en !== undefined || texts.es !== undefined, 'must have a text in en or es');

/** What is said, and when it is over. */
export const newBroadcastFields = {
  template: line(64).optional().describe('Instead of `message`: the name of a template'),
  message: messageTexts.optional().describe('Instead of `template`: what is said, by language'),
  schoolDate: day.optional().describe("Whose absences count; today in the district's zone without it"),
  expiresAt: z.iso
    .datetime({ offset: true, error: 'must be a time such as 2026-09-14T20:00:00-06:00' })
    .optional()
    .describe('No call after it; the end of the school date, for emergencies 24 hours, without it'),
};

/** A refinement: a template or a message. */
export const oneOfTheTwo: [
  (body: { template?: string | undefined; message?: object | undefined }) => boolean,
  { error: string; path: string[] },
] = [
  (body) => (body.template === undefined) !== (body.message === undefined),
  { error: 'must have either a template or a message', path: ['message'] },
];

export const newBroadcastSchema = z
  .strictObject({
    title: line(200),
    category: z.enum(CATEGORIES),
    template: newBroadcastFields.template,
    message: newBroadcastFields.message,
    audience: audienceSchema,
    schoolDate: newBroadcastFields.schoolDate,
    expiresAt: newBroadcastFields.expiresAt,
    start: z.boolean().default(true).describe('false: prepare it and wait for `run`'),
  })
  .refine(...oneOfTheTwo)
  .meta({ examples: [NEW_BROADCAST_EXAMPLE] });

type NewBroadcastBody = z.infer<typeof newBroadcastSchema>;

/**
 * Makes the broadcast that the body asks for and has it prepared; the same key and body give the same one
 * (`created: false`), also when they come at once. Nothing is stored when the body is refused: see the
 * errors of {@link checkAudience}, {@link requireTemplate} and createBroadcast.
 */
export async function newBroadcast(
  {
    db,
    clock,
    templates,
    broadcastCreated,
  }: Pick<ApiDeps, 'db' | 'clock' | 'templates' | 'broadcastCreated'>,
  body: NewBroadcastBody,
  { idempotencyKey, createdBy }: { idempotencyKey: string; createdBy: string },
): Promise<{ broadcast: Broadcast; created: boolean }> {
  // The schema gives the fields in its own order, in whatever order they were sent.
  const requestHash = createHash('sha256').update(JSON.stringify(body)).digest();
  // First of all: what was right then may be wrong by now, an expiry for example, and still is the same request.
  const earlier = await findBroadcastByKey(db, idempotencyKey, requestHash);
  const result =
    earlier === undefined
      ? await createBroadcast(db, {
          ...(await checked({ db, clock, templates }, body)),
          idempotencyKey,
          requestHash,
          createdBy,
        })
      : { broadcast: earlier, created: false };
  const { id, preparedAt, state } = result.broadcast;
  // Also when it is sent again: the first request may have died between storing and queueing.
  if (preparedAt === null && (state === 'running' || state === 'held')) await broadcastCreated(id);
  return result;
}

async function checked(
  { db, clock, templates }: Pick<ApiDeps, 'db' | 'clock' | 'templates'>,
  body: NewBroadcastBody,
) {
  const district = await requireDistrict(db);
  if (body.template !== undefined) requireTemplate(templates, body.template);
  const now = clock.now();
  const { title, category, template = null, message, start } = body;
  const { schoolDate, expiresAt } = timesOf(body, now, district.zone);
  return {
    title,
    category,
    template,
    message:
      message === undefined ? null : (Object.fromEntries(Object.entries(message)) as Record<string, string>),
    audience: await checkAudience(db, body.audience, district.country),
    schoolDate,
    expiresAt,
    state: start ? ('running' as const) : ('held' as const),
  };
}

/** The school date and the end, as asked for or by default. Throws INPUT_INVALID when the end is past. */
export function timesOf(
  body: { category: Category; schoolDate?: string | undefined; expiresAt?: string | undefined },
  now: Date,
  zone: string,
): { schoolDate: string; expiresAt: Date } {
  const schoolDate = body.schoolDate ?? localDate(now, zone);
  const expiresAt =
    body.expiresAt !== undefined
      ? new Date(body.expiresAt)
      : EMERGENCIES.includes(body.category)
        ? new Date(now.getTime() + EMERGENCY_LASTS_MS)
        : endOfDate(schoolDate, zone);
  if (expiresAt <= now) {
    const field = body.expiresAt === undefined ? 'schoolDate' : 'expiresAt';
    throw fieldErrors('INPUT_INVALID', 'the broadcast would be over before it began', [
      { field, reason: 'is in the past' },
    ]);
  }
  return { schoolDate, expiresAt };
}
