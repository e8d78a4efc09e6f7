/** Fills the queue by the hundred thousand, and measures claims: for the cost tests and for the benchmark. */
import { type Database, inTransaction, one } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { addBroadcast, CAP, endOf, HASH, ZONE } from './queue.ts';

export interface Filling {
  calls: number;
  /** The calls are dealt out to so many broadcasts. */
  broadcasts?: number;
  /** And to so many sites in each: the rank is the place in the site. */
  sites?: number;
  zone?: string;
  state?: 'ready' | 'waiting';
  /** The first phone's number; each call has its own. */
  firstPhone?: number;
  category?: 'emergency' | 'general' | 'survey';
  avoidTrunks?: string[];
}

/** Puts calls into the queue; needs `emptyQueue` before. A million takes some 20 s. Gives the broadcasts' ids. */
export async function fillQueue(db: Database, filling: Filling): Promise<string[]> {
  const { calls, broadcasts = 1, sites = 1, zone = ZONE, state = 'ready', category = 'general' } = filling;
  const { avoidTrunks = [], firstPhone = 0 } = filling;
  const each = Math.ceil(calls / broadcasts);
  const ids: string[] = [];
  for (let index = 0; index < broadcasts; index += 1) {
    const id = await addBroadcast(db, { category, calls: 0, zone });
    ids.push(id);
    await inTransaction(db, (tx) =>
      tx.query(
        `insert into calls (broadcast_id, lane_id, phone, language, zone, prompt_hash, state, rank, due_at, avoid_trunks)
         select $1, lane.id, '+1' || (2000000000 + $6::bigint + n)::text, 'en', $3, $4, $5::text, n / $7, 
           case when $5::text = 'waiting' then now() + interval '1 hour' else now() end, $8
         from (select lane_of($1, $3, $8) as id) as lane, generate_series(0, $2::integer - 1) as n`,
        [
          id,
          Math.min(each, calls - index * each),
          zone,
          HASH,
          state,
          firstPhone + index * each,
          sites,
          avoidTrunks,
        ],
      ),
    );
  }
  return ids;
}

/**
 * Claims `rounds` times `limit` calls by a trunk that has a lease of fence 1; gives the milliseconds of each
 * claim, and how many calls came. They end as busy, for good, outside of the times.
 */
export async function timeClaims(
  db: Database,
  trunkId: string,
  {
    limit = 30,
    rounds = 50,
    openZones = [ZONE],
  }: { limit?: number; rounds?: number; openZones?: string[] } = {},
): Promise<{ ms: number[]; claimed: number }> {
  const ledger = createLedger(db);
  const nodes = Array.from({ length: limit }, () => 'n1');
  const request = { trunkId, fence: 1, nodes, openZones, fixedMs: 60_000, messagePlays: 3, dailyCap: CAP };
  const ms: number[] = [];
  let claimed = 0;
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    const claims = await ledger.claim(request);
    ms.push(performance.now() - began);
    claimed += claims.length;
    await ledger.endAttempts(claims.map((claim) => endOf(claim)));
  }
  return { ms, claimed };
}

/** The middle one. */
export function median(values: readonly number[]): number {
  return [...values].sort((one, two) => one - two)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** How many rows a table has. */
export async function countRows(db: Database, table: 'calls' | 'attempts' | 'lanes'): Promise<number> {
  return (await one<{ rows: number }>(db, `select count(*) as rows from ${table}`)).rows;
}
