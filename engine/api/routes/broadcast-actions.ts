import { z } from 'zod';
import { BROADCAST_ACTIONS, type BroadcastAction } from '../../domain/broadcast-state.ts';
import { BROADCAST_STATES } from '../../domain/terms.ts';
import { actOnBroadcast, hasClaimedAttempts } from '../../store/broadcasts.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { idParams } from '../schemas.ts';
import { settled } from '../settled.ts';
import { noBroadcast } from './broadcasts.ts';

const SUMMARIES: Record<BroadcastAction, string> = {
  run: 'Release a held broadcast to the dialer',
  pause: 'Start no call until it is resumed',
  resume: 'Go on with a paused broadcast',
  stop: 'Start no call any more',
};
const SETTLED =
  'Calls that ring or talk go on to their end. With `settled: true` no INVITE leaves after this answer; with `settled: false` one that was claimed before may still leave: ask again. The same request twice is no error.';
const STATES_AFTER: Record<BroadcastAction, string> = {
  run: 'running',
  pause: 'paused',
  resume: 'running',
  stop: 'stopped',
};

export function broadcastActionRoutes(app: Api, { db, clock }: Pick<ApiDeps, 'db' | 'clock'>): void {
  for (const action of BROADCAST_ACTIONS)
    app.post(
      `/v1/broadcasts/:id/${action}`,
      {
        schema: {
          tags: ['Broadcasts'],
          summary: SUMMARIES[action],
          ...(ends(action) && { description: SETTLED }),
          params: idParams,
          response: {
            200: z
              .object({ state: z.enum(BROADCAST_STATES), settled: z.boolean() })
              .meta({ examples: [{ state: STATES_AFTER[action], settled: true }] }),
          },
        },
      },
      async (request) => {
        const { id } = request.params;
        const state = await actOnBroadcast(db, id, action);
        if (state === undefined) throw noBroadcast();
        request.log.info({ broadcast: id, action, state, key: request.apiKey?.id }, 'broadcast changed');
        return {
          state,
          settled: ends(action) ? await settled(clock, () => hasClaimedAttempts(db, id)) : true,
        };
      },
    );
}

const ends = (action: BroadcastAction): boolean => action === 'pause' || action === 'stop';
