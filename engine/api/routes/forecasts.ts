import { z } from 'zod';
import { SPEECH, speechMs } from '../../domain/answer-pattern.ts';
import { audienceSchema } from '../../domain/audience.ts';
import type { Forecast } from '../../domain/forecast.ts';
import { CATEGORIES, URGENCY } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { EVERY_PHONE } from '../../store/audience.ts';
import { getBroadcast } from '../../store/broadcasts.ts';
import type { District } from '../../store/district.ts';
import { countAudience, lengthOfBroadcast, lengthSaidBefore } from '../../store/forecast.ts';
import { checkAudience, requireDistrict, requireTemplate } from '../check-audience.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { type ForecastResult, forecastSubject, stillToPlan } from '../forecast-broadcast.ts';
import { NEW_BROADCAST_EXAMPLE, newBroadcastFields, oneOfTheTwo, timesOf } from '../new-broadcast.ts';
import { idParams } from '../schemas.ts';
import { noBroadcast } from './broadcasts.ts';

const tags = ['Broadcasts'];
const WRAPPER = 'message';
const FALLBACK_LANGUAGE = 'en';

const FORECAST = {
  tried: {
    half: { seconds: 312, at: '2026-02-02T12:10:22.000Z' },
    most: { seconds: 594, at: '2026-02-02T12:15:04.000Z' },
    all: { seconds: 625, at: '2026-02-02T12:15:35.000Z' },
  },
  done: { seconds: 2480, at: '2026-02-02T12:46:30.000Z' },
  basis: {
    calls: 12_000,
    trunks: 1,
    callsPerSecond: 20,
    channels: 800,
    pattern: 'history',
    messageMs: 21_400,
    messageLength: 'rendered',
    callsAhead: 0,
    callsBeside: 0,
  },
};

const moment = z
  .object({ seconds: z.number().int().describe('From now; 0 when it is so already'), at: z.date() })
  .nullable();
const count = z.number().int();
const forecastAnswer = z
  .object({
    tried: z
      .object({ half: moment, most: moment.describe('95 %'), all: moment })
      .describe('When so many phones have been called once; null: not within the hours that remain'),
    done: moment.describe('Every call has its final outcome'),
    basis: z.object({
      calls: count,
      trunks: count.describe('Active ones'),
      callsPerSecond: z.number(),
      channels: count,
      pattern: z
        .enum(['history', 'default'])
        .describe('How phones answer: from the attempts of the last 30 days for the category, or assumed'),
      messageMs: count,
      messageLength: z.enum(['rendered', 'estimated']),
      callsAhead: count.describe('Waiting calls of more urgent broadcasts'),
      callsBeside: count.describe('Waiting calls of broadcasts as urgent as this one'),
    }),
  })
  .meta({ examples: [FORECAST] });

const question = z
  .strictObject({
    category: z.enum(CATEGORIES),
    audience: audienceSchema,
    ...newBroadcastFields,
  })
  .refine(...oneOfTheTwo)
  .meta({
    examples: [
      {
        category: NEW_BROADCAST_EXAMPLE.category,
        audience: NEW_BROADCAST_EXAMPLE.audience,
        message: NEW_BROADCAST_EXAMPLE.message,
      },
    ],
  });

export function forecastRoutes(
  app: Api,
  { db, clock, templates }: Pick<ApiDeps, 'db' | 'clock' | 'templates'>,
): void {
  app.get(
    '/v1/broadcasts/:id/forecast',
    {
      schema: {
        tags,
        summary: 'When its homes will have been called',
        description: 'For one that is held or paused: if it ran now. 409 for one that is over.',
        params: idParams,
        response: { 200: forecastAnswer },
      },
    },
    async ({ params }) => {
      const broadcast = await getBroadcast(db, params.id);
      if (broadcast === undefined) throw noBroadcast();
      if (!['held', 'running', 'paused'].includes(broadcast.state))
        throw new RollcallError(
          'STATE_FORBIDS',
          `the broadcast is ${broadcast.state}: there is nothing to forecast`,
        );
      const district = await requireDistrict(db);
      const now = clock.now();
      const result = await forecastSubject(
        db,
        {
          ...broadcast,
          message:
            (await lengthOfBroadcast(db, broadcast.id, SPEECH)) ?? (await lengthOf(broadcast, district)),
          toPlan: await stillToPlan(db, broadcast, district),
        },
        { now, policy: district.policy },
      );
      return toAnswer(result, now);
    },
  );

  app.post(
    '/v1/forecasts',
    {
      schema: {
        tags,
        summary: 'When the homes of a broadcast would have been called',
        description: 'Before it is sent, as if it ran now. Nothing is stored.',
        body: question,
        response: { 200: forecastAnswer },
      },
    },
    async ({ body }) => {
      const district = await requireDistrict(db);
      if (body.template !== undefined) requireTemplate(templates, body.template);
      const now = clock.now();
      const { category, template = null, message = null } = body;
      const { schoolDate, expiresAt } = timesOf(body, now, district.zone);
      const audience = await checkAudience(db, body.audience, district.country);
      const toPlan = await countAudience(db, audience, {
        zone: district.zone,
        everyPhone: EVERY_PHONE.has(category),
        schoolDate,
      });
      const texts = message as Record<string, string> | null;
      const result = await forecastSubject(
        db,
        {
          id: null,
          category,
          urgency: URGENCY[category],
          expiresAt,
          message: await lengthOf({ template, message: texts, schoolDate }, district),
          toPlan,
        },
        { now, policy: district.policy },
      );
      return toAnswer(result, now);
    },
  );

  /** What was said before has its length; else the words of one call, and how fast the voices speak. */
  async function lengthOf(
    words: { template: string | null; message: Record<string, string> | null; schoolDate: string },
    district: District,
  ): Promise<{ ms: number; rendered: boolean }> {
    const before = await lengthSaidBefore(db, words);
    if (before !== undefined) return { ms: before, rendered: true };
    const texts = Object.entries(words.message ?? { [FALLBACK_LANGUAGE]: '' });
    const lengths = texts.map(([language, message]) =>
      speechMs(
        templates.compose(words.template ?? WRAPPER, language, {
          district: district.name,
          schools: ['Washington Elementary'],
          students: ['Alexandra'],
          date: words.schoolDate,
          callback: district.callbackPhone,
          message,
        }).text,
      ),
    );
    return { ms: lengths.reduce((sum, ms) => sum + ms, 0) / Math.max(1, lengths.length), rendered: false };
  }
}

function toAnswer({ forecast, basis }: ForecastResult, now: Date) {
  const at = (ms: number | null) =>
    ms === null ? null : { seconds: Math.round(ms / 1000), at: new Date(now.getTime() + ms) };
  const { halfTriedMs, mostTriedMs, allTriedMs, doneMs }: Forecast = forecast;
  return {
    tried: { half: at(halfTriedMs), most: at(mostTriedMs), all: at(allTriedMs) },
    done: at(doneMs),
    basis,
  };
}
