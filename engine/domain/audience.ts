import { z } from 'zod';
import { SITE_LEVELS } from './terms.ts';

const siteCodes = z
  .array(z.string().min(1).max(32))
  .min(1)
  .max(1_000)
  .describe('Site codes; without it, every site');

/** Who is called. Stored with the broadcast as it was asked for. */
export const audienceSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('absent'),
      sites: siteCodes.optional(),
      levels: z.array(z.enum(SITE_LEVELS)).min(1).optional(),
    })
    .describe("Families of students with an unexcused absence on the broadcast's school date"),
  z
    .strictObject({
      kind: z.literal('students'),
      sites: siteCodes.optional(),
      grades: z.array(z.string().min(1).max(16)).min(1).max(100).optional(),
      students: z.array(z.string().min(1).max(64)).min(1).max(100_000).optional(),
    })
    .describe('Families of all students, or of those chosen by site, grade or SIS id'),
  z
    .strictObject({
      kind: z.literal('numbers'),
      site: z.string().min(1).max(32),
      language: z
        .string()
        .regex(/^[a-z]{2}$/)
        .default('en'),
      phones: z.array(z.string().min(3).max(40)).min(1).max(100_000),
    })
    .describe('Phone numbers that come with the request, reported under one site'),
]);

export type Audience = z.infer<typeof audienceSchema>;

/** Nobody asks for it: the audience of a correction. */
const reachedSchema = z
  .strictObject({ kind: z.literal('reached'), broadcast: z.uuid() })
  .describe('Every phone that heard something of this broadcast, or of one that it corrects');

/** The audience as it is stored with a broadcast. */
export const storedAudienceSchema = z.union([audienceSchema, reachedSchema]);
export type StoredAudience = z.infer<typeof storedAudienceSchema>;
