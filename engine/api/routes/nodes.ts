import { z } from 'zod';
import { RollcallError } from '../../errors.ts';
import { listNodes, setNodeState } from '../../store/nodes.ts';
import type { Api, ApiDeps } from '../deps.ts';

const tags = ['Nodes'];
const NODE = { name: 'asterisk-1', state: 'active', calls: 40, createdAt: '2026-09-14T18:00:03.120Z' };

const node = z
  .object({
    name: z.string(),
    state: z.enum(['active', 'draining']),
    calls: z.number().int().describe('Calls that ring or talk on it'),
    createdAt: z.date(),
  })
  .meta({ examples: [NODE] });
const params = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,40}$/, 'must have 1 to 40 letters, digits, _ or -'),
});

const ACTIONS = {
  drain: {
    state: 'draining',
    summary: 'Take a node out of service',
    description: 'It gets no new call; those that ring or talk go on. It is empty once `calls` is 0.',
  },
  resume: {
    state: 'active',
    summary: 'Take a node back into service',
    description: 'It gets calls again as soon as the engine is connected to it.',
  },
} as const;

export function nodeRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/nodes',
    {
      schema: {
        tags,
        summary: 'Every Asterisk node that an engine was started with, by name',
        response: { 200: z.object({ items: z.array(node) }).meta({ examples: [{ items: [NODE] }] }) },
      },
    },
    async () => ({ items: await listNodes(db) }),
  );

  for (const [action, { state, summary, description }] of Object.entries(ACTIONS)) {
    app.post(
      `/v1/nodes/:name/${action}`,
      { schema: { tags, summary, description, params, response: { 200: node } } },
      async ({ params: { name } }) => {
        const changed = await setNodeState(db, name, state);
        if (changed === undefined) throw new RollcallError('NOT_FOUND', 'there is no node of this name');
        return changed;
      },
    );
  }
}
