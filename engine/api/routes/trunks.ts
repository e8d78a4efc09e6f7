import { z } from 'zod';
import { NUMBER_FORMATS } from '../../domain/trunk.ts';
import { RollcallError } from '../../errors.ts';
import { createTrunk, listTrunks, updateTrunk } from '../../store/trunks.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { e164, id, idParams } from '../schemas.ts';

const tags = ['Trunks'];

const NEW_TRUNK = {
  name: 'carrier-a',
  endpoint: 'carrier-a',
  maxChannels: 40,
  callsPerSecond: 2.5,
  numberFormat: 'e164',
  callerId: '+17205550100',
};
const TRUNK = {
  id: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  ...NEW_TRUNK,
  state: 'active',
  stateReason: null,
  createdAt: '2026-09-14T18:00:03.120Z',
};

const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must have 1 to 64 letters, digits, _ or -');
const limits = {
  maxChannels: z.number().int().min(1).max(100_000).describe('Calls at any moment, as the carrier allows'),
  callsPerSecond: z
    .number()
    .min(0.001)
    .max(10_000)
    .describe('New calls per second; 0.5 is one in two seconds'),
};
const numberFormat = z.enum(NUMBER_FORMATS).describe('How the carrier wants the called number');
const callerId = e164
  .nullable()
  .describe("Shown where neither the call nor its site has one; the district's own");

const newTrunk = z
  .strictObject({
    name,
    endpoint: name.describe('The PJSIP endpoint in Asterisk'),
    ...limits,
    numberFormat: numberFormat.default('e164'),
    callerId: callerId.default(null),
  })
  .meta({ examples: [NEW_TRUNK] });
const patch = z
  .strictObject({
    ...limits,
    numberFormat,
    callerId,
    state: z.enum(['active', 'paused']).describe('`active` also ends `refused`, once the carrier is mended'),
  })
  .partial()
  .refine((changes) => Object.keys(changes).length > 0, 'must change something')
  .meta({ examples: [{ callsPerSecond: 0.5, state: 'active' }] });
const trunk = z
  .object({
    id,
    name,
    endpoint: name,
    ...limits,
    numberFormat,
    callerId,
    state: z.enum(['active', 'paused', 'refused']),
    stateReason: z.string().nullable(),
    createdAt: z.date(),
  })
  .meta({ examples: [TRUNK] });

export function trunkRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/trunks',
    {
      schema: {
        tags,
        summary: 'Every trunk, by name',
        response: { 200: z.object({ items: z.array(trunk) }).meta({ examples: [{ items: [TRUNK] }] }) },
      },
    },
    async () => ({ items: await listTrunks(db) }),
  );

  app.post(
    '/v1/trunks',
    { schema: { tags, summary: 'Add a trunk', body: newTrunk, response: { 201: trunk } } },
    async ({ body }, reply) => reply.code(201).send(await createTrunk(db, body)),
  );

  app.patch(
    '/v1/trunks/:id',
    {
      schema: {
        tags,
        summary: 'Change, pause or resume a trunk',
        description: 'Calls that ring or talk go on; the new limits hold from the next call on.',
        params: idParams,
        body: patch,
        response: { 200: trunk },
      },
    },
    async ({ params, body }) => {
      const changed = await updateTrunk(db, params.id, body);
      if (changed === undefined) throw new RollcallError('NOT_FOUND', 'there is no trunk with this id');
      return changed;
    },
  );
}
