import { z } from 'zod';
import { ROLES } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { createKey, listKeys, revokeKey } from '../../store/keys.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { id, idParams, line } from '../schemas.ts';

const tags = ['Keys'];
const ID = '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10';
const NEW_KEY = { name: 'attendance-office', role: 'clerk' };
const KEY = {
  id: ID,
  ...NEW_KEY,
  createdAt: '2026-09-14T18:00:03.120Z',
  lastUsedAt: '2026-09-14T19:12:00.000Z',
  revokedAt: null,
};

const newKey = z
  .strictObject({ name: line(120).describe('Shown as the sender of what it sends'), role: z.enum(ROLES) })
  .meta({ examples: [NEW_KEY] });
const key = z
  .object({
    id,
    name: z.string(),
    role: z.enum(ROLES),
    createdAt: z.date(),
    lastUsedAt: z.date().nullable().describe('To the minute'),
    revokedAt: z.date().nullable(),
  })
  .meta({ examples: [KEY] });

export function keyRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/keys',
    {
      schema: {
        tags,
        summary: 'Every key, without its secret',
        response: { 200: z.object({ items: z.array(key) }).meta({ examples: [{ items: [KEY] }] }) },
      },
    },
    async () => ({ items: await listKeys(db) }),
  );

  app.post(
    '/v1/keys',
    {
      schema: {
        tags,
        summary: 'Make a key',
        description: 'The answer shows the key for the only time; the database keeps its hash.',
        body: newKey,
        response: {
          201: z
            .object({ id, name: z.string(), role: z.enum(ROLES), key: z.string() })
            .meta({ examples: [{ id: ID, ...NEW_KEY, key: 'rc_…' }] }),
        },
      },
    },
    async ({ body }, reply) => reply.code(201).send({ ...body, ...(await createKey(db, body)) }),
  );

  app.delete(
    '/v1/keys/:id',
    {
      schema: {
        tags,
        summary: 'Revoke a key',
        description: 'From the next request on. The key stays in the list, and its name stays taken.',
        params: idParams,
        response: { 200: key },
      },
    },
    async ({ params }) => {
      const revoked = await revokeKey(db, params.id);
      if (revoked === undefined) throw new RollcallError('NOT_FOUND', 'there is no key with this id');
      return revoked;
    },
  );
}
