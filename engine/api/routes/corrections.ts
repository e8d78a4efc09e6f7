import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { BroadcastState } from '../../domain/terms.ts';
import { isRollcallError, RollcallError } from '../../errors.ts';
import {
  actOnBroadcast,
  type Broadcast,
  createBroadcast,
  findBroadcastByKey,
  getBroadcast,
  hasClaimedAttempts,
} from '../../store/broadcasts.ts';
import { keyOf } from '../authentication.ts';
import { requireDistrict } from '../check-audience.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { messageTexts, timesOf } from '../new-broadcast.ts';
import { idParams, line } from '../schemas.ts';
import { settled } from '../settled.ts';
import { BROADCAST, broadcast, idempotencyKey, noBroadcast } from './broadcasts.ts';

const LONGEST_TITLE = 200;

const CORRECTION = {
  title: 'Correction: Snow day, 2 February',
  message: { en: 'Schools are open today. Our earlier message was a mistake.' },
};

const answer = z
  .object({
    broadcast,
    settled: z.boolean().describe('false: an INVITE of the corrected broadcast may still leave'),
  })
  .meta({
    examples: [
      {
        broadcast: {
          ...BROADCAST,
          ...CORRECTION,
          id: '01991f6e-9a00-7a3c-9d2f-0b9d6d1b2a11',
          audience: { kind: 'reached', broadcast: BROADCAST.id },
          corrects: BROADCAST.id,
        },
        settled: true,
      },
    ],
  });

export function correctionRoutes(
  app: Api,
  { db, clock, broadcastCreated }: Pick<ApiDeps, 'db' | 'clock' | 'broadcastCreated'>,
): void {
  app.post(
    '/v1/broadcasts/:id/correct',
    {
      schema: {
        tags: ['Broadcasts'],
        summary: 'Stop a broadcast and correct it',
        description:
          'Stops it as `stop` does, if it is not over, and sends a correction to every phone that heard something of it, in part or in full, or of what it corrects itself. Calls on the line go on to their end and get the correction then; who heard nothing is not called. 201 for a new correction, 200 when this key and body already made it.',
        params: idParams,
        headers: z.looseObject({ 'idempotency-key': idempotencyKey }),
        body: z
          .strictObject({
            title: line(LONGEST_TITLE).optional().describe('“Correction: ” and the title, without it'),
            message: messageTexts,
          })
          .meta({ examples: [CORRECTION] }),
        response: { 200: answer, 201: answer },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const key = request.headers['idempotency-key'];
      const requestHash = createHash('sha256')
        .update(JSON.stringify({ corrects: id, ...request.body }))
        .digest();
      const original = await getBroadcast(db, id);
      if (original === undefined) throw noBroadcast();
      const earlier = await findBroadcastByKey(db, key, requestHash);
      const state = await stop(original);
      const { broadcast: correction, created } =
        earlier === undefined
          ? await createBroadcast(db, {
              ...(await correctionOf(original, request.body)),
              idempotencyKey: key,
              requestHash,
              createdBy: keyOf(request).name,
            })
          : { broadcast: earlier, created: false };
      const isSettled = await settled(clock, () => hasClaimedAttempts(db, id));
      if (correction.preparedAt === null && correction.state === 'running')
        await broadcastCreated(correction.id);
      request.log.info({ broadcast: id, state, correction: correction.id, created }, 'broadcast corrected');
      return reply.code(created ? 201 : 200).send({ broadcast: correction, settled: isSettled });
    },
  );

  async function stop({ id, state }: Broadcast): Promise<BroadcastState> {
    if (state === 'done') return state;
    try {
      return (await actOnBroadcast(db, id, 'stop')) ?? state;
    } catch (error) {
      if (!isRollcallError(error, 'STATE_FORBIDS')) throw error;
      const now = (await getBroadcast(db, id))?.state ?? state;
      // It may have come to its end by itself in this moment.
      if (now === 'done') return now;
      throw new RollcallError('STATE_FORBIDS', `the broadcast is ${now}: nobody heard it`, { cause: error });
    }
  }

  async function correctionOf(original: Broadcast, body: { title?: string | undefined; message: object }) {
    const { zone } = await requireDistrict(db);
    const { category, schoolDate } = original;
    const { expiresAt } = timesOf({ category }, clock.now(), zone);
    return {
      title: body.title ?? `Correction: ${original.title}`.slice(0, LONGEST_TITLE),
      category,
      template: null,
      message: Object.fromEntries(Object.entries(body.message)) as Record<string, string>,
      audience: { kind: 'reached' as const, broadcast: original.id },
      corrects: original.id,
      schoolDate,
      // What was said last year can still be put right today.
      expiresAt: original.expiresAt > expiresAt ? original.expiresAt : expiresAt,
      state: 'running' as const,
    };
  }
}
