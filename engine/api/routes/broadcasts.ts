import { z } from 'zod';
import { storedAudienceSchema } from '../../domain/audience.ts';
import { BROADCAST_STATES, CATEGORIES } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { getBroadcast, listBroadcasts } from '../../store/broadcasts.ts';
import { keyOf } from '../authentication.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { NEW_BROADCAST_EXAMPLE, newBroadcast, newBroadcastSchema } from '../new-broadcast.ts';
import { day, id, idParams, pageLimit, pageOf, toPage } from '../schemas.ts';

const tags = ['Broadcasts'];

export const BROADCAST = {
  id: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  title: NEW_BROADCAST_EXAMPLE.title,
  category: NEW_BROADCAST_EXAMPLE.category,
  urgency: 1,
  template: null,
  message: NEW_BROADCAST_EXAMPLE.message,
  audience: NEW_BROADCAST_EXAMPLE.audience,
  corrects: null,
  schoolDate: '2026-02-02',
  state: 'running',
  reason: null,
  scheduleId: null,
  occurrenceAt: null,
  expiresAt: '2026-02-03T07:00:00.000Z',
  preparedAt: null,
  startedAt: '2026-02-02T12:05:10.000Z',
  finishedAt: null,
  createdBy: 'district-office',
  createdAt: '2026-02-02T12:05:10.000Z',
};

export const broadcast = z
  .object({
    id,
    title: z.string(),
    category: z.enum(CATEGORIES),
    urgency: z.number().int().describe('Lower is sooner'),
    template: z.string().nullable(),
    message: z.record(z.string(), z.string()).nullable(),
    audience: storedAudienceSchema,
    corrects: id.nullable().describe('The broadcast that this one corrects'),
    schoolDate: z.string(),
    state: z.enum(BROADCAST_STATES),
    reason: z.string().nullable().describe('Why it is missed or failed'),
    scheduleId: id.nullable(),
    occurrenceAt: z.date().nullable(),
    expiresAt: z.date(),
    preparedAt: z.date().nullable(),
    startedAt: z.date().nullable(),
    finishedAt: z.date().nullable(),
    createdBy: z.string(),
    createdAt: z.date(),
  })
  .meta({ examples: [BROADCAST] });

export const idempotencyKey = z
  .string('send the header Idempotency-Key, a new one for each broadcast')
  .regex(/^[\x20-\x7e]{1,200}$/, 'must have 1 to 200 printable ASCII characters')
  .describe('The same key and body give the same broadcast; a new broadcast takes a new key')
  .meta({ examples: ['snow-day-2026-02-02'] });

export function broadcastRoutes(app: Api, deps: ApiDeps): void {
  const { db } = deps;

  app.post(
    '/v1/broadcasts',
    {
      schema: {
        tags,
        summary: 'Send a broadcast',
        description:
          '201 for a new one, 200 when this key and body already made it, 409 when the key was used for another body. Numbers are E.164 or national numbers of the district’s country; one bad number refuses the whole request.',
        headers: z.looseObject({ 'idempotency-key': idempotencyKey }),
        body: newBroadcastSchema,
        response: { 200: broadcast, 201: broadcast },
      },
    },
    async (request, reply) => {
      const { broadcast, created } = await newBroadcast(deps, request.body, {
        idempotencyKey: request.headers['idempotency-key'],
        createdBy: keyOf(request).name,
      });
      if (created)
        request.log.info({ broadcast: broadcast.id, category: broadcast.category }, 'broadcast created');
      return reply.code(created ? 201 : 200).send(broadcast);
    },
  );

  app.get(
    '/v1/broadcasts',
    {
      schema: {
        tags,
        summary: 'Broadcasts, newest first',
        querystring: z.strictObject({
          schoolDate: day.optional(),
          state: z.enum(BROADCAST_STATES).optional(),
          after: id.optional(),
          limit: pageLimit,
        }),
        response: { 200: pageOf(broadcast).meta({ examples: [{ items: [BROADCAST], next: null }] }) },
      },
    },
    async ({ query }) => toPage(await listBroadcasts(db, { ...query, limit: query.limit + 1 }), query.limit),
  );

  app.get(
    '/v1/broadcasts/:id',
    { schema: { tags, summary: 'One broadcast', params: idParams, response: { 200: broadcast } } },
    async ({ params }) => {
      const found = await getBroadcast(db, params.id);
      if (found === undefined) throw noBroadcast();
      return found;
    },
  );
}

/** The answer for an id that no broadcast has. */
export function noBroadcast(): RollcallError {
  return new RollcallError('NOT_FOUND', 'there is no broadcast with this id');
}
