import { Readable } from 'node:stream';
import { z } from 'zod';
import { BROADCAST_STATES, OUTCOMES } from '../../domain/terms.ts';
import { broadcastProgress } from '../../store/calls.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { progressEvents } from '../progress-events.ts';
import { idParams, streamed } from '../schemas.ts';
import { noBroadcast } from './broadcasts.ts';

const tags = ['Broadcasts'];

const PROGRESS = {
  state: 'running',
  total: 412,
  planned: 0,
  waiting: 40,
  ready: 261,
  ringing: 9,
  live: 12,
  done: 90,
  callsPerSecond: 2.4,
  byOutcome: { confirmed: 41, unsure: 30, busy: 4, no_answer: 15 },
  secondsLeft: 143,
};

const number = z.number().int();
const progress = z
  .object({
    state: z.enum(BROADCAST_STATES),
    total: number.describe('Phones to be called'),
    planned: number.describe('Waiting for their audio'),
    waiting: number.describe('Waiting for their retry, or for another phone of the household'),
    ready: number.describe('Waiting for a permit'),
    ringing: number,
    live: number,
    done: number,
    callsPerSecond: z.number().describe('Over the last 5 seconds'),
    byOutcome: z.partialRecord(z.enum(OUTCOMES), number),
    secondsLeft: number
      .nullable()
      .describe(
        'From the rate of the last 30 seconds, and not before the last retry is due; null when it is not known',
      ),
  })
  .meta({ examples: [PROGRESS] });

export function broadcastProgressRoutes(app: Api, { db, clock }: Pick<ApiDeps, 'db' | 'clock'>): void {
  const streams = new Set<AbortController>();
  // A stream would keep the server from closing for as long as its broadcast lasts.
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.abort();
  });

  app.get(
    '/v1/broadcasts/:id/progress',
    { schema: { tags, summary: 'How far it is', params: idParams, response: { 200: progress } } },
    async ({ params }) => {
      const found = await broadcastProgress(db, params.id);
      if (found === undefined) throw noBroadcast();
      return found;
    },
  );

  app.get(
    '/v1/broadcasts/:id/events',
    {
      schema: {
        tags,
        summary: 'How far it is, as it happens',
        description:
          'Server-sent events: `progress` at most once a second while something other than `secondsLeft` changes, every 15 seconds otherwise a new `secondsLeft` or a comment, and `done` when the broadcast is over; then the stream ends.',
        params: idParams,
        response: {
          200: {
            description: 'Events whose data is what `/progress` answers',
            content: {
              'text/event-stream': {
                schema: streamed(`event: progress\ndata: ${JSON.stringify(PROGRESS)}\n\n`),
              },
            },
          },
        },
      },
    },
    async ({ params }, reply) => {
      const first = await broadcastProgress(db, params.id);
      if (first === undefined) throw noBroadcast();
      const controller = new AbortController();
      streams.add(controller);
      const read = () => broadcastProgress(db, params.id);
      const stream = Readable.from(progressEvents(first, read, clock, controller.signal));
      // The response's close, which comes at its end and when the client goes. The stream's own would come only
      // after the generator's next event, and so perhaps never.
      reply.raw.once('close', () => {
        streams.delete(controller);
        controller.abort();
      });
      // Proxies that collect a response before they pass it on would hold the events back.
      reply.header('x-accel-buffering', 'no').header('content-type', 'text/event-stream; charset=utf-8');
      return reply.send(stream);
    },
  );
}
