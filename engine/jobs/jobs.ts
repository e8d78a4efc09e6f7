import { PgBoss } from 'pg-boss';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Renderer } from '../speech/renderer.ts';
import type { Templates } from '../speech/templates.ts';
import type { Database } from '../store/db.ts';
import { anyQueuedPrompt, releaseLeftBehind, unpreparedBroadcasts } from '../store/prompts.ts';
import { nextWake } from '../store/schedules.ts';
import { prepareBroadcast } from './prepare-broadcast.ts';
import { createPromptRendering } from './render-prompts.ts';
import { runDueSchedules } from './schedule-tick.ts';

export interface JobsDeps {
  db: Database;
  /** pg-boss keeps its own few connections and its own schema, `pgboss`. */
  databaseUrl: string;
  clock: Clock;
  log: Log;
  renderer: Pick<Renderer, 'hashOf' | 'render'>;
  templates: Pick<Templates, 'has' | 'uses' | 'compose'>;
}

export interface Jobs {
  /** Queues the preparation of a broadcast; asking again changes nothing. Does not reject. */
  prepare(broadcastId: string): Promise<void>;
  /** Says that a schedule is new or was changed, so that it is woken for. Does not reject. */
  scheduleChanged(): Promise<void>;
  /** Begins nothing new, and waits up to 20 s for what is under way. */
  stop(): Promise<void>;
}

const PREPARE = 'prepare-broadcast';
const RENDER = 'render-prompts';
const TICK = 'schedule-tick';
type Queue = typeof PREPARE | typeof RENDER | typeof TICK;

/**
 * Jobs for now are told to their worker at once; a poll finds those with a start time, such as a schedule's next
 * occurrence, and those of another process.
 */
const POLL_SECONDS: Readonly<Record<Queue, number>> = { [PREPARE]: 1, [RENDER]: 2, [TICK]: 1 };
const STOP_MS = 20_000;
/** Until we look again whether live calls of a broadcast that is corrected have ended. */
const CORRECTION_PAUSE_MS = 1_000;
const SEND_PAUSES_MS = [100, 1_000];

/**
 * Starts the workers. What they do can be interrupted anywhere and done again, and a tick each minute finds
 * what was left behind: an occurrence whose wake was lost, a broadcast committed by a process that died
 * before it could queue its preparation, prompts whose job is gone.
 */
export async function startJobs(deps: JobsDeps): Promise<Jobs> {
  const { db, clock, log } = deps;
  const stopping = new AbortController();
  const boss = new PgBoss({
    connectionString: deps.databaseUrl,
    schema: 'pgboss',
    application_name: 'rollcall-jobs',
    max: 4,
  });
  // Without PostgreSQL every poll fails; the next one after it is back goes on.
  boss.on('error', (error) =>
    log.warn({ err: error }, 'the job queue had an error; it goes on at its next poll'),
  );
  boss.on('warning', ({ message }) => log.warn({ reason: message }, 'job queue'));
  await boss.start();

  // `short` keeps one job waiting per key and lets any number run: with a policy that also limits those that
  // run, the job of a killed process would block its key until it expires. So handlers bear company.
  for (const queue of [PREPARE, RENDER, TICK]) {
    await boss.createQueue(queue, {
      policy: 'short',
      retryLimit: 5,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 30,
      expireInSeconds: 300,
      deleteAfterSeconds: 86_400,
    });
  }

  const renderQueued = createPromptRendering(deps);
  const handlers: Record<Queue, (key: string) => Promise<void>> = {
    [PREPARE]: async (id) => {
      const more = await prepareBroadcast(deps, id, () => send(RENDER));
      if (more) await send(PREPARE, id, new Date(clock.now().getTime() + CORRECTION_PAUSE_MS));
    },
    [RENDER]: async () => {
      const { more } = await renderQueued(stopping.signal);
      if (more) await send(RENDER);
    },
    [TICK]: async () => {
      const created = await runDueSchedules(deps);
      for (const id of [...created, ...(await unpreparedBroadcasts(db))]) await send(PREPARE, id);
      await releaseLeftBehind(db);
      if (await anyQueuedPrompt(db)) await send(RENDER);
      const wakeAt = await nextWake(db, clock.now());
      if (wakeAt !== null) await send(TICK, wakeAt.toISOString(), wakeAt);
    },
  };

  const workers = new Map<Queue, string>();

  /** The key is all that a job says; a second one with it, while the first waits, is dropped. */
  async function send(queue: Queue, key = 'now', startAfter?: Date): Promise<void> {
    await boss.send(queue, { key }, { singletonKey: key, ...(startAfter && { startAfter }) });
    const worker = workers.get(queue);
    // Saves the wait for the next poll where the worker is in this process.
    if (worker !== undefined && startAfter === undefined) boss.notifyWorker(worker);
  }

  /** For those who may not fail because of a queue: the tick finds what could not be sent. */
  async function sendOrLeave(queue: Queue, key?: string): Promise<void> {
    // Right after a restart of PostgreSQL the pool still has connections that do not know that they are dead.
    for (const pauseMs of [...SEND_PAUSES_MS, undefined]) {
      try {
        return await send(queue, key);
      } catch (error) {
        log.warn({ queue, key, err: error }, 'job could not be queued; the tick will find it if need be');
      }
      if (pauseMs === undefined || stopping.signal.aborted) return;
      await clock.sleep(pauseMs);
    }
  }

  for (const queue of [PREPARE, RENDER, TICK] as const) {
    const handle = async ([job]: { data: { key?: string } | null }[]) => {
      try {
        await handlers[queue](job?.data?.key ?? 'now');
      } catch (error) {
        log.error({ queue, key: job?.data?.key, err: error }, 'job failed; it will be tried again');
        throw error;
      }
    };
    workers.set(queue, await boss.work(queue, { pollingIntervalSeconds: POLL_SECONDS[queue] }, handle));
  }
  await boss.schedule(TICK, '* * * * *', { key: 'now' }, { singletonKey: 'now' });
  await send(TICK);

  return {
    prepare: (broadcastId) => sendOrLeave(PREPARE, broadcastId),
    scheduleChanged: () => sendOrLeave(TICK),
    stop: async () => {
      stopping.abort();
      await boss.stop({ graceful: true, timeout: STOP_MS });
    },
  };
}
