import { z } from 'zod';
import { parsePhone } from '../../domain/phone.ts';
import { RollcallError } from '../../errors.ts';
import { listCallerIds, putCallerId, removeCallerId } from '../../store/caller-ids.ts';
import { keyOf } from '../authentication.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { fieldErrors } from '../problem.ts';
import { e164, line } from '../schemas.ts';

const tags = ['Caller IDs'];

const BODY = { proof: 'Letter of authorisation of the carrier, 2026-08-03, in the telecom folder' };
const CALLER_ID = {
  phone: '+17205550111',
  ...BODY,
  provenAt: '2026-08-03T15:00:00.000Z',
  createdBy: 'district-office',
};

const params = z.strictObject({ phone: e164 });
const body = z
  .strictObject({
    proof: line(500).describe(
      "How the number is known to be the district's: where the letter lies, who called it",
    ),
    provenAt: z.coerce.date().nullable().default(null).describe('null: now'),
  })
  .meta({ examples: [BODY] });
const callerId = z
  .object({ phone: e164, proof: z.string(), provenAt: z.date(), createdBy: z.string() })
  .meta({ examples: [CALLER_ID] });

export function callerIdRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/caller-ids',
    {
      schema: {
        tags,
        summary: 'The numbers that calls may show, with their proofs',
        response: {
          200: z.object({ items: z.array(callerId) }).meta({ examples: [{ items: [CALLER_ID] }] }),
        },
      },
    },
    async () => ({ items: await listCallerIds(db) }),
  );

  app.put(
    '/v1/caller-ids/:phone',
    {
      schema: {
        tags,
        summary: "State that a number is the district's, or replace its proof",
        description:
          'Sites and trunks can show only numbers of this list. The key that states it is kept with it.',
        params,
        body,
        response: { 200: callerId, 201: callerId },
      },
    },
    async (request, reply) => {
      const { phone } = request.params;
      // E.164 has its country with it.
      const parsed = parsePhone(phone, '');
      if (!parsed.ok)
        throw fieldErrors('INPUT_INVALID', 'the request is not valid; see errors', [
          { field: 'phone', reason: parsed.reason },
        ]);
      const { callerId, created } = await putCallerId(db, {
        phone,
        ...request.body,
        createdBy: keyOf(request).name,
      });
      return reply.code(created ? 201 : 200).send(callerId);
    },
  );

  app.delete(
    '/v1/caller-ids/:phone',
    {
      schema: {
        tags,
        summary: 'Take a number off the list',
        description: 'Refused while a site or a trunk shows it.',
        params,
        response: { 200: callerId },
      },
    },
    async ({ params }) => {
      const removed = await removeCallerId(db, params.phone);
      if (removed === undefined) throw new RollcallError('NOT_FOUND', 'there is no such caller ID');
      return removed;
    },
  );
}
