import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { LedgerAttempt, LedgerCall } from './evidence.ts';

const CALLS = `select id, broadcast_id as "broadcastId", phone, state, outcome, heard from calls`;
const epoch = (column: string) => `extract(epoch from attempts.${column})::float8 * 1000`;
const ATTEMPTS = `
select attempts.id, attempts.call_id as "callId", trunks.name as trunk, attempts.node, attempts.number,
  attempts.state, attempts.outcome, attempts.interrupted, attempts.sip_code as "sipCode",
  attempts.heard_ms as "heardMs", attempts.message_ms as "messageMs", ${epoch('claimed_at')} as "claimedAt",
  ${epoch('placed_at')} as "placedAt", ${epoch('answered_at')} as "answeredAt", ${epoch('ended_at')} as "endedAt"
from attempts join trunks on trunks.id = attempts.trunk_id`;

/** How a broadcast goes, read past the engine. */
export interface BroadcastState {
  state: string;
  calls: number;
  done: number;
}

/** The database as an auditor reads it: directly, and again when it is away. */
export interface LedgerReader {
  broadcast(id: string): Promise<BroadcastState>;
  calls(): Promise<LedgerCall[]>;
  attempts(): Promise<LedgerAttempt[]>;
  connections(): Promise<number>;
}

const AWAY_MS = 60_000;

export function createLedgerReader(url: string): LedgerReader {
  const query = async <T>(sql: string, values: unknown[] = []): Promise<T[]> => {
    const deadline = Date.now() + AWAY_MS;
    for (;;) {
      const client = new pg.Client({ connectionString: url, query_timeout: 10_000 });
      // A server that is killed shows in the query's rejection too.
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query(sql, values)).rows as T[];
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(200);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  };
  return {
    async broadcast(id) {
      const [found] = await query<BroadcastState>(
        `select broadcasts.state, count(calls.id)::int as calls,
           (count(calls.id) filter (where calls.state = 'done'))::int as done
         from broadcasts left join calls on calls.broadcast_id = broadcasts.id
         where broadcasts.id = $1 group by broadcasts.id`,
        [id],
      );
      return found ?? { state: 'missing', calls: 0, done: 0 };
    },
    calls: () => query<LedgerCall>(CALLS),
    attempts: () => query<LedgerAttempt>(ATTEMPTS),
    async connections() {
      const [found] = await query<{ count: number }>(
        `select count(*)::int as count from pg_stat_activity where application_name like 'rollcall%'`,
      );
      return found?.count ?? 0;
    },
  };
}
