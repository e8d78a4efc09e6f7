import type { AttemptEnd, Claim } from '../../engine/domain/ledger.ts';
import { type Database, one } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';

export const HASH = 'a'.repeat(64);
export const ZONE = 'America/Denver';
export const CAP = 6;

/** Empties the database and puts a district and a rendered prompt of 8 s into it. */
export async function emptyQueue(db: Database): Promise<void> {
  await db.query(
    `truncate broadcasts, calls, attempts, call_recipients, lanes, phones, trunks, trunk_leases, students, sites,
     district, prompts cascade`,
  );
  await db.query(`insert into district (name, zone, country) values ('Test', $1, 'US')`, [ZONE]);
  await db.query(
    `insert into prompts (hash, language, text, state, duration_ms, rendered_at)
     values ($1, 'en', 'text', 'rendered', 8000, now())`,
    [HASH],
  );
}

/** A trunk with a lease of `fence` for an hour; gives its id. */
export async function addTrunk(db: Database, name = 't', fence = 1): Promise<string> {
  const { id } = await one<{ id: string }>(
    db,
    `insert into trunks (name, host, transport, auth, max_channels, calls_per_second)
     values ($1, '127.0.0.1', 'udp', 'ip', 10, 10) returning id`,
    [name],
  );
  await lend(db, id, fence);
  return id;
}

/** Gives the trunk's lease to another engine, with this fence. */
export async function lend(db: Database, trunkId: string, fence: number, for_ = '1 hour'): Promise<void> {
  await db.query(
    `insert into trunk_leases (trunk_id, holder, fence, expires_at, engine)
     values ($1, gen_random_uuid(), $2, now() + $3::interval, 'a test')
     on conflict (trunk_id) do update set fence = $2, expires_at = excluded.expires_at`,
    [trunkId, fence, for_],
  );
}

const URGENCY = { emergency: 0, schools_out: 1, attendance: 2, general: 3, survey: 4 };

/** A broadcast with `calls` ready calls, to +1303555…; gives its id. */
export async function addBroadcast(
  db: Database,
  {
    state = 'running',
    category = 'general' as keyof typeof URGENCY,
    expires = '1 hour',
    calls = 1,
    firstPhone = 1,
    zone = ZONE,
  } = {},
): Promise<string> {
  const { id } = await one<{ id: string }>(
    db,
    `insert into broadcasts (title, category, urgency, template, audience, school_date, state, expires_at, created_by,
       prepared_at)
     values ('x', $1, $2, 'message', '{}', '2026-01-01', $3, now() + $4::interval, 'test', now()) returning id`,
    [category, URGENCY[category], state, expires],
  );
  await db.query(
    `insert into calls (broadcast_id, phone, language, zone, prompt_hash, state, rank)
     select $1, '+1303' || lpad((5550000 + n)::text, 7, '0'), 'en', $3, $4, 'ready', n - $5 + 1
     from generate_series($5::integer, $5 + $2 - 1) n`,
    [id, calls, zone, HASH, firstPhone],
  );
  return id;
}

/** Claims as an engine with this trunk's lease does. */
export function claimer(db: Database) {
  const ledger = createLedger(db);
  return (
    trunkId: string,
    limit: number,
    { openZones = [ZONE], fence = 1, dailyCap = CAP } = {},
  ): Promise<Claim[]> =>
    ledger.claim({
      trunkId,
      fence,
      nodes: Array.from({ length: limit }, (_, index) => `n${index + 1}`),
      openZones,
      fixedMs: 1_000,
      messagePlays: 3,
      dailyCap,
    });
}

/** How an attempt ends: busy and final, if nothing else is said. */
export const endOf = (
  { attemptId = '', fence = 1 }: { attemptId?: string; fence?: number } = {},
  over: Partial<AttemptEnd> = {},
): AttemptEnd => ({
  attemptId,
  fence,
  outcome: 'busy',
  heard: 'none',
  heardMs: 0,
  sipCode: 486,
  cause: 17,
  digits: '',
  interrupted: false,
  counted: 'try',
  retryInMs: null,
  reroute: false,
  ...over,
});

/** What a dialer writes of an attempt whose INVITE never left. */
export const NEVER_SENT = {
  outcome: 'interrupted',
  sipCode: null,
  cause: null,
  interrupted: true,
  counted: 'nothing',
  retryInMs: 0,
} as const;
