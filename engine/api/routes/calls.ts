import { z } from 'zod';
import { ATTEMPT_STATES, CALL_STATES, HEARD_LEVELS, OUTCOMES } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { getCall, listCalls } from '../../store/calls.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { id, idParams, pageLimit, pageOf, toPage, trackedOutcome } from '../schemas.ts';

const tags = ['Calls'];

const CALL = {
  id: '01991f6e-8a11-7c01-8000-3f0a5f3b9d01',
  broadcastId: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  phone: '+13035550142',
  language: 'es',
  zone: 'America/Denver',
  callerId: '+17205550111',
  state: 'done',
  dueAt: '2026-09-14T19:30:00.000Z',
  outcome: 'confirmed',
  heard: 'confirmed',
  heardMs: 14_200,
  finishedAt: '2026-09-14T19:31:02.411Z',
};
const ATTEMPT = {
  id: '01991f6e-9b22-7d02-8000-5a1b6c4d2e02',
  trunk: 'carrier-a',
  node: 'asterisk-1',
  number: 1,
  state: 'ended',
  claimedAt: '2026-09-14T19:30:31.002Z',
  placedAt: '2026-09-14T19:30:31.020Z',
  ringingAt: '2026-09-14T19:30:32.100Z',
  answeredAt: '2026-09-14T19:30:44.900Z',
  endedAt: '2026-09-14T19:31:02.411Z',
  sipCode: 200,
  cause: 16,
  outcome: 'confirmed',
  heard: 'confirmed',
  heardMs: 14_200,
  messageMs: 14_200,
  digits: '1',
  interrupted: false,
};
const RECIPIENT = { site: 'LINC', studentId: '100123', student: 'Maria Peña' };

const call = z.object({
  id,
  broadcastId: id,
  phone: z.string().nullable().describe('null: there was no number to dial'),
  language: z.string(),
  zone: z.string(),
  callerId: z.string().nullable(),
  state: z.enum(CALL_STATES),
  dueAt: z
    .date()
    .nullable()
    .describe('Not before; null while another phone of the household is called first'),
  outcome: z.enum(OUTCOMES).nullable().describe("The last attempt's; final once the state is `done`"),
  heard: z.enum(HEARD_LEVELS),
  heardMs: z.number().int().describe('The longest stretch of the message that was played to somebody'),
  finishedAt: z.date().nullable(),
});
const attempt = z.object({
  id: id.describe('Also the channel id in Asterisk'),
  trunk: z.string(),
  node: z.string(),
  number: z.number().int(),
  state: z.enum(ATTEMPT_STATES),
  claimedAt: z.date(),
  placedAt: z.date().nullable(),
  ringingAt: z.date().nullable(),
  answeredAt: z.date().nullable(),
  endedAt: z.date().nullable(),
  sipCode: z.number().int().nullable(),
  cause: z.number().int().nullable().describe('Q.850'),
  outcome: z.enum(OUTCOMES).nullable(),
  heard: z.enum(HEARD_LEVELS),
  heardMs: z.number().int(),
  messageMs: z.number().int(),
  digits: z.string(),
  interrupted: z.boolean(),
});
const detail = call
  .extend({
    promptHash: z.string().nullable(),
    messageMs: z.number().int().nullable(),
    recipients: z.array(
      z.object({ site: z.string(), studentId: z.string().nullable(), student: z.string().nullable() }),
    ),
    attempts: z.array(attempt),
  })
  .meta({
    examples: [
      { ...CALL, promptHash: null, messageMs: 14_200, recipients: [RECIPIENT], attempts: [ATTEMPT] },
    ],
  });

export function callRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/calls',
    {
      schema: {
        tags,
        summary: 'Calls, in the order they were planned',
        querystring: z.strictObject({
          broadcast: id.optional(),
          outcome: trackedOutcome.optional(),
          after: id.optional(),
          limit: pageLimit,
        }),
        response: { 200: pageOf(call).meta({ examples: [{ items: [CALL], next: null }] }) },
      },
    },
    async ({ query }) => toPage(await listCalls(db, { ...query, limit: query.limit + 1 }), query.limit),
  );

  app.get(
    '/v1/calls/:id',
    {
      schema: {
        tags,
        summary: 'One call, with its attempts and those for whom it is',
        params: idParams,
        response: { 200: detail },
      },
    },
    async ({ params }) => {
      const found = await getCall(db, params.id);
      if (found === undefined) throw new RollcallError('NOT_FOUND', 'there is no call with this id');
      return found;
    },
  );
}
