import { z } from 'zod';
import { CATEGORIES } from './terms.ts';

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day such as 07:00');

/**
 * What a district may set; the defaults are the specification's (domain.md). Times of day are local to the
 * phone that would ring.
 */
export const policySchema = z.strictObject({
  /** Calls are placed between these, if no stricter rule forbids. */
  window: z
    .strictObject({ opens: timeOfDay, closes: timeOfDay })
    .default({ opens: '07:00', closes: '21:00' }),
  /** None between these, over everything. May span midnight. */
  blackout: z.strictObject({ from: timeOfDay, until: timeOfDay }).default({ from: '23:30', until: '02:30' }),
  /** After busy or no answer: the pause before the next try, and how many tries in all. */
  retryDelaySeconds: z.number().int().min(1).max(86_400).default(900),
  maxTries: z.number().int().min(1).max(10).default(3),
  /** After a failure of the trunk, which is not counted as a try. */
  trunkRetrySeconds: z.number().int().min(1).max(3_600).default(10),
  maxTrunkFailures: z.number().int().min(1).max(50).default(5),
  /** Calls per phone and local day over all broadcasts; emergencies and schools out are excepted. */
  dailyCallsPerPhone: z.number().int().min(1).max(1_000).default(6),
  /** In these a student's phones are called one after the other until one is reached; else all at once. */
  oneAtATime: z.array(z.enum(CATEGORIES)).default([]),
  /** How long a phone rings before we give up. */
  ringSeconds: z.number().int().min(5).max(120).default(30),
  /** From the answer to the first word. */
  answerPauseMs: z.number().int().min(0).max(10_000).default(1_000),
  /** How long to wait for a key after the message. */
  keyWaitMs: z.number().int().min(0).max(30_000).default(2_000),
});

/** A district's policy with every default filled in. */
export type Policy = z.infer<typeof policySchema>;

export const DEFAULT_POLICY: Policy = policySchema.parse({});
