import type { Readable } from 'node:stream';
import { z } from 'zod';
import { OUTCOMES } from '../domain/terms.ts';
import { isZone } from '../domain/zoned-time.ts';

const LINE_BREAKS = /[\n\r\t]/g;
// Control characters, and halves of surrogate pairs: neither can be printed, spoken or stored.
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/** One line of text for people: trimmed, not empty, without control characters. */
export const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1, 'must not be empty')
    .max(longest, `must have at most ${longest} characters`)
    .refine((text) => !UNPRINTABLE.test(text), 'must not have control characters');

/** Text of several lines. */
export const paragraph = (longest: number) =>
  z
    .string()
    .trim()
    .min(1, 'must not be empty')
    .max(longest, `must have at most ${longest} characters`)
    .refine((text) => !UNPRINTABLE.test(text.replace(LINE_BREAKS, '')), 'must not have control characters');

export const e164 = z
  .string()
  .regex(/^\+[1-9][0-9]{6,14}$/, 'must be a phone number in E.164 form, such as +13035550142')
  .meta({ examples: ['+13035550142'] });

export const zone = z
  .string()
  .max(64)
  .refine(isZone, 'must be an IANA time zone, such as America/Denver')
  .meta({ examples: ['America/Denver'] });

/** ISO 3166-1 alpha-2 */
export const country = z
  .string()
  .regex(/^[A-Z]{2}$/, 'must be a country code of two capital letters, such as US')
  .meta({ examples: ['US'] });

export const day = z.iso.date('must be a date such as 2026-09-14');

export const id = z.uuid('must be an id');

export const idParams = z.strictObject({ id });

export const siteCode = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,32}$/, 'must have 1 to 32 letters, digits, _ or -');

export const trackedOutcome = z
  .enum([...OUTCOMES, 'pending'])
  .describe('An outcome, or `pending` for calls that are not done');

const LONGEST_PAGE = 500;

export const pageLimit = z.coerce.number().int().min(1).max(LONGEST_PAGE).default(100);

/** A list and the value of `after` that gives its next page; null on the last page. */
export const pageOf = <T extends z.ZodType>(items: T) =>
  z.object({ items: z.array(items), next: z.string().nullable() });

/** Cuts a list that was read with one row more than asked for. */
export function toPage<T extends { id: string }>(
  found: T[],
  limit: number,
): { items: T[]; next: string | null } {
  const items = found.slice(0, limit);
  return { items, next: found.length > limit ? (items.at(-1)?.id ?? null) : null };
}

/** The response of a route that sends a stream: text to its reader, and not to be serialised. */
export const streamed = (example: string) =>
  z.custom<Readable>().meta({ type: 'string', examples: [example] });
