import pg from 'pg';
import type { Queryable } from './db.ts';

/** API, jobs and dialer meet only in Postgres; these wake the others early. Losing a wake costs a poll. */
const DIALER_CHANNEL = 'rollcall_dialer';
const JOBS_CHANNEL = 'rollcall_jobs';
type Channel = typeof DIALER_CHANNEL | typeof JOBS_CHANNEL;

/** Tells the dialer, at commit, that there may be work or that a trunk or broadcast changed. */
export async function wakeDialer(db: Queryable): Promise<void> {
  await notify(db, DIALER_CHANNEL, '');
}

/** Tells the jobs process, at commit, of a new broadcast by its id, or without one that a schedule changed. */
export async function wakeJobs(db: Queryable, broadcastId = ''): Promise<void> {
  await notify(db, JOBS_CHANNEL, broadcastId);
}

async function notify(db: Queryable, channel: Channel, payload: string): Promise<void> {
  await db.query('select pg_notify($1, $2)', [channel, payload]);
}

/** A connection of its own that hears wakes; `end` closes it. */
export interface Listener {
  end(): Promise<void>;
}

/**
 * Calls `onWake` for each wake, and once after each (re)connect, since what was said in between is lost.
 * Reconnects every `retryMs` for as long as it is not ended.
 */
export function listenForDialer(
  url: string,
  onWake: () => void,
  onError: (error: Error) => void,
  retryMs = 500,
): Listener {
  return listen(url, DIALER_CHANNEL, () => onWake(), onError, retryMs);
}

/** As {@link listenForDialer}; `onWake` gets the id of a new broadcast, or nothing: then it has to look. */
export function listenForJobs(
  url: string,
  onWake: (broadcastId?: string) => void,
  onError: (error: Error) => void,
  retryMs = 500,
): Listener {
  return listen(url, JOBS_CHANNEL, (payload) => onWake(payload || undefined), onError, retryMs);
}

function listen(
  url: string,
  channel: Channel,
  onWake: (payload: string) => void,
  onError: (error: Error) => void,
  retryMs: number,
): Listener {
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;

  const connect = async () => {
    const current = new pg.Client({
      connectionString: url,
      application_name: 'rollcall-listen',
      keepAlive: true,
    });
    client = current;
    let lost = false;
    const reconnect = (error: Error) => {
      if (ended || lost) return;
      lost = true;
      onError(error);
      current.end().catch(onError);
      timer = setTimeout(connect, retryMs);
    };
    current.on('error', reconnect);
    current.on('end', () => reconnect(new Error('the listening connection was closed')));
    current.on('notification', ({ payload }) => onWake(payload ?? ''));
    try {
      await current.connect();
      await current.query(`listen ${channel}`);
      onWake('');
    } catch (error) {
      reconnect(error as Error);
    }
  };
  void connect();
  return {
    end: async () => {
      ended = true;
      clearTimeout(timer);
      await client?.end();
    },
  };
}
