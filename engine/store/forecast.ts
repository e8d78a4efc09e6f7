import type { HistoryClass } from '../domain/answer-pattern.ts';
import type { Audience } from '../domain/audience.ts';
import type { Category } from '../domain/terms.ts';
import { maybeOne, one, type Queryable, rows } from './db.ts';

/** Calls of a broadcast that wait and have the same in front of them. */
export interface WaitingGroup {
  broadcastId: string;
  zone: string;
  count: number;
  dueInMs: number;
  tried: boolean;
  tries: number;
  interruptions: number;
  trunkFailures: number;
}

/** Calls on the line that began at about the same time. */
export interface LiveGroup {
  broadcastId: string;
  trunkId: string;
  zone: string;
  count: number;
  elapsedMs: number;
  tries: number;
  interruptions: number;
  trunkFailures: number;
}

/** A broadcast that takes permits, or holds channels. */
export interface Contender {
  id: string;
  category: Category;
  urgency: number;
  running: boolean;
  expiresAt: Date;
}

const TRUNKS = `
  select id, max_channels as "maxChannels", calls_per_second as "callsPerSecond" from trunks
  where state = 'active' order by id`;

// Times are rounded, so that a million calls are some dozens of groups.
const WAITING = `
  select broadcast_id as "broadcastId", zone, count(*),
    1000 * (ceil(greatest(0, extract(epoch from due_at - now())) / 15) * 15)::float8 as "dueInMs",
    attempts > 0 as tried, tries, interruptions, trunk_failures as "trunkFailures"
  from calls where broadcast_id = any ($1::uuid[]) and state not in ('dialing', 'done')
  group by broadcast_id, zone, "dueInMs", attempts > 0, tries, interruptions, trunk_failures
  order by broadcast_id, zone, "dueInMs", tried, tries`;

const LIVE = `
  select calls.broadcast_id as "broadcastId", attempts.trunk_id as "trunkId", calls.zone, count(*),
    1000 * floor(greatest(0, extract(epoch from now() - attempts.claimed_at)))::float8 as "elapsedMs",
    tries, interruptions, trunk_failures as "trunkFailures"
  from attempts join calls on calls.id = attempts.call_id
  where attempts.state <> 'ended'
  group by calls.broadcast_id, attempts.trunk_id, calls.zone, "elapsedMs", tries, interruptions, trunk_failures
  order by attempts.trunk_id, "elapsedMs", calls.broadcast_id, calls.zone`;

// Those of the same urgency take turns with ours, a less urgent one only holds the channels that it has.
const CONTENDERS = `
  select id, category, urgency, state = 'running' as running, expires_at as "expiresAt" from broadcasts
  where finished_at is null and state in ('running', 'paused', 'stopped') and id is distinct from $1
  order by urgency, created_at`;

const ENDED = `
  select count(*) as calls, count(*) filter (where state = 'done' and attempts > 0) as tried
  from calls where broadcast_id = $1`;

const KNOWN_BY_ZONE = `
  select zone, count(*) from calls where broadcast_id = $1 and phone is not null group by zone`;

// What went wrong on a trunk, or with us, says nothing of the phones. Four classes an outcome keep how the
// lengths spread. The newest broadcasts first: 20,000 attempts are enough to know.
const HISTORY = `
  with tried as (
    select attempts.number > 1 as later, attempts.outcome,
      attempts.heard_ms >= attempts.message_ms as complete, attempts.message_ms,
      least(1, attempts.heard_ms::float8 / greatest(1, attempts.message_ms)) as heard_share,
      1000 * greatest(0, extract(epoch from coalesce(attempts.answered_at, attempts.ended_at)
        - coalesce(attempts.placed_at, attempts.claimed_at)))::float8 as ring_ms,
      coalesce(1000 * greatest(0, extract(epoch from attempts.ended_at - attempts.answered_at))::float8, 0)
        as talk_ms
    from (
      select id from broadcasts
      where category = $1 and created_at > now() - interval '30 days' order by created_at desc) recent
    cross join lateral (
      select attempts.* from calls join attempts on attempts.call_id = calls.id
      where calls.broadcast_id = recent.id and attempts.state = 'ended'
        and attempts.outcome not in ('trunk_failure', 'rate_limited', 'trunk_refused', 'no_common_codec',
          'interrupted', 'failed', 'stopped', 'barred')) attempts
    limit 20000
  ), classed as (
    select *, ntile(4) over (partition by later, outcome, complete order by ring_ms + talk_ms) as quarter
    from tried
  )
  select later, outcome, complete, count(*), avg(ring_ms) as "ringMs", avg(talk_ms) as "talkMs",
    avg(message_ms)::float8 as "messageMs", avg(heard_share) as "heardShare"
  from classed group by later, outcome, complete, quarter
  order by later, outcome, complete, quarter`;

const LENGTH_OF_BROADCAST = `
  select avg(coalesce(duration_ms, $2 + $3 * length(text)))::float8 as ms,
    bool_and(duration_ms is not null) as rendered
  from (
    select prompt_hash as hash, count(*) from calls
    where broadcast_id = $1 and prompt_hash is not null group by prompt_hash) said
  join prompts using (hash)`;

// What was said in the last broadcast that said the same.
const LENGTH_SAID_BEFORE = `
  select avg(attempts.message_ms)::float8 as ms
  from (
    select id from broadcasts
    where template is not distinct from $1 and message is not distinct from $2::jsonb
      and created_at > now() - interval '30 days'
      and exists (select from calls where broadcast_id = broadcasts.id and attempts > 0)
    order by created_at desc limit 1) said
  join calls on calls.broadcast_id = said.id join attempts on attempts.call_id = calls.id`;

// As planAudience in audience.ts chooses them; only counted. $1 district's zone, $2 every phone.
const countPhones = (chosen: string): string => `
  select zone, count(*) from (
    select distinct on (contact_points.phone) coalesce(sites.zone, $1) as zone
    from students join sites on sites.id = students.site_id
    join contact_points on contact_points.student_id = students.id
    where contact_points.phone is not null and ($2 or contact_points.owner = 'home') and ${chosen}
    order by contact_points.phone, sites.code) phones
  group by zone`;

const COUNT_ABSENT = countPhones(`
  exists (select from absences where absences.student_id = students.id and school_date = $3 and code = 'unexcused')
    and ($4::text[] is null or sites.code = any ($4)) and ($5::text[] is null or sites.level = any ($5))`);

const COUNT_STUDENTS = countPhones(`
  ($3::text[] is null or sites.code = any ($3)) and ($4::text[] is null or students.grade = any ($4))
    and ($5::text[] is null or students.sis_id = any ($5))`);

const SITE_ZONE = `select coalesce(zone, $2) as zone from sites where code = $1`;

export interface ZoneCount {
  zone: string;
  count: number;
}

/** The trunks that would be used now. */
export const activeTrunks = (db: Queryable) =>
  rows<{ id: string; maxChannels: number; callsPerSecond: number }>(db, TRUNKS);

/** What the broadcasts still have to call. */
export const waitingGroups = (db: Queryable, broadcastIds: readonly string[]) =>
  rows<WaitingGroup>(db, WAITING, [broadcastIds]);

/** Every call that holds a channel. */
export const liveGroups = (db: Queryable) => rows<LiveGroup>(db, LIVE);

/** The broadcasts that are not over, except one, the most urgent first. */
export const contenders = (db: Queryable, exceptId: string | null) =>
  rows<Contender>(db, CONTENDERS, [exceptId]);

/** How many calls a broadcast has, and how many of them are done and were tried. */
export const endedCalls = (db: Queryable, broadcastId: string) =>
  one<{ calls: number; tried: number }>(db, ENDED, [broadcastId]);

/** Phones that a broadcast has calls for by now. */
export const knownByZone = (db: Queryable, broadcastId: string) =>
  rows<ZoneCount>(db, KNOWN_BY_ZONE, [broadcastId]);

/** How attempts for a category ended in the last 30 days, and how long they took. */
export const answerHistory = (db: Queryable, category: Category) =>
  rows<HistoryClass>(db, HISTORY, [category]);

/** Mean length of what a broadcast says; of what is not rendered, `startMs` and so much per character. */
export async function lengthOfBroadcast(
  db: Queryable,
  broadcastId: string,
  { startMs, perCharacterMs }: { startMs: number; perCharacterMs: number },
): Promise<{ ms: number; rendered: boolean } | undefined> {
  const found = await one<{ ms: number | null; rendered: boolean }>(db, LENGTH_OF_BROADCAST, [
    broadcastId,
    startMs,
    perCharacterMs,
  ]);
  return found.ms === null ? undefined : { ms: found.ms, rendered: found.rendered };
}

/** Mean length of the same words in the last broadcast that said them; undefined: none did. */
export async function lengthSaidBefore(
  db: Queryable,
  words: { template: string | null; message: Record<string, string> | null },
): Promise<number | undefined> {
  const found = await maybeOne<{ ms: number | null }>(db, LENGTH_SAID_BEFORE, [
    words.template,
    words.message && JSON.stringify(words.message),
  ]);
  return found?.ms ?? undefined;
}

/** How many phones an audience has, by zone. Nothing is stored. */
export async function countAudience(
  db: Queryable,
  audience: Audience,
  { zone, everyPhone, schoolDate }: { zone: string; everyPhone: boolean; schoolDate: string },
): Promise<ZoneCount[]> {
  switch (audience.kind) {
    case 'absent':
      return rows<ZoneCount>(db, COUNT_ABSENT, [
        zone,
        everyPhone,
        schoolDate,
        audience.sites ?? null,
        audience.levels ?? null,
      ]);
    case 'students':
      return rows<ZoneCount>(db, COUNT_STUDENTS, [
        zone,
        everyPhone,
        audience.sites ?? null,
        audience.grades ?? null,
        audience.students ?? null,
      ]);
    case 'numbers': {
      const site = await maybeOne<{ zone: string }>(db, SITE_ZONE, [audience.site, zone]);
      return site === undefined ? [] : [{ zone: site.zone, count: audience.phones.length }];
    }
  }
}
