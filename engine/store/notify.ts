import pg from 'pg';
import type { Queryable } from './db.ts';

/** API, jobs and dialer meet only in Postgres; this wakes the dialer early. Losing a wake costs a poll. */
const DIALER_CHANNEL = 'rollcall_dialer';

/** Tells the dialer, at commit, that there may be work or that a trunk or broadcast changed. */
export async function wakeDialer(db: Queryable): Promise<void> {
  await db.query('select pg_notify($1, $2)', [DIALER_CHANNEL, '']);
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
    current.on('notification', onWake);
    try {
      await current.connect();
      await current.query(`listen ${DIALER_CHANNEL}`);
      onWake();
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
