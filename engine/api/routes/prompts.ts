import { z } from 'zod';
import { RollcallError } from '../../errors.ts';
import { getPrompt } from '../../store/prompts-read.ts';
import type { Api, ApiDeps } from '../deps.ts';

const HASH = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

const prompt = z
  .object({
    hash: z.string(),
    language: z.string(),
    text: z.string(),
    state: z.enum(['queued', 'rendered', 'failed']),
    durationMs: z.number().int().nullable(),
    error: z.string().nullable().describe('Why it failed'),
  })
  .meta({
    examples: [
      {
        hash: HASH,
        language: 'en',
        text: 'This is Lincoln Elementary. Maria was marked absent today.',
        state: 'rendered',
        durationMs: 5210,
        error: null,
      },
    ],
  });

export function promptRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/prompts/:hash',
    {
      schema: {
        tags: ['Prompts'],
        summary: 'What a call said, and whether it is rendered',
        params: z.strictObject({
          hash: z
            .string()
            .regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')
            .meta({ examples: [HASH] }),
        }),
        response: { 200: prompt },
      },
    },
    async ({ params }) => {
      const found = await getPrompt(db, params.hash);
      if (found === undefined) throw new RollcallError('NOT_FOUND', 'there is no prompt with this hash');
      return found;
    },
  );
}
