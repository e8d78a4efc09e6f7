import type { Audience } from '../domain/audience.ts';
import type { Policy } from '../domain/policy.ts';
import type { Category } from '../domain/terms.ts';
import { RollcallError } from '../errors.ts';
import type { Broadcast } from './broadcasts.ts';
import { type Database, inTransaction, maybeOne, one, type Queryable } from './db.ts';
import type { District } from './district.ts';
import { wakeDialer } from './notify.ts';

/** Where a minute matters, every phone of a student rings; elsewhere the two home phones. */
export const EVERY_PHONE: ReadonlySet<Category> = new Set<Category>([
  'emergency_school_hours',
  'schools_out',
]);

/** Phones per chunk: few first, so that an emergency rings at once; later ones are worth their transaction. */
const CHUNKS = [500, 2_000, 10_000, 25_000];

// One row while a broadcast is planned; its lock lets two preparations take turns.
const BEGIN = `
  insert into preparations (broadcast_id)
  select id from broadcasts where id = $1 and prepared_at is null and state in ('held', 'running', 'paused')
  on conflict do nothing`;

const LOCK = `select stage, after, places, chunk from preparations where broadcast_id = $1 for update`;

// Shared, as claims have it, and last: a stop waits for no more than the commit, and ends what it finds.
const STILL_WANTED = `
  select from broadcasts where id = $1 and state in ('held', 'running', 'paused') for share`;

const SAVE = `
  update preparations set stage = $2, after = $3, places = $4, chunk = chunk + 1 where broadcast_id = $1`;

const FORGET = `delete from preparations where broadcast_id = $1`;

/** The order in which a student's phones are called where they are called one after the other. */
const placeOf = (point: string): string => `
  case ${point}.owner || '.' || ${point}.kind
    when 'home.primary' then 1 when 'home.secondary' then 2
    when 'main.home' then 3 when 'main.mobile' then 4 when 'main.work' then 5
    when 'secondary.home' then 6 when 'secondary.mobile' then 7 else 8 end`;

// $1 broadcast, $2 district's zone, $3 every phone or the home phones, $4 after, $5 limit, $6 places so far by
// site, $7 one phone after the other, $8 prompts by those who hear them; what comes after is the kind's own.

const REACHABLE = `contact_points.phone is not null and ($3 or contact_points.owner = 'home')`;

const ABSENT = `
  exists (
    select from absences
    where absences.student_id = students.id and school_date = $9 and code = 'unexcused')
  and students.site_id in (
    select id from sites
    where ($10::text[] is null or code = any ($10)) and ($11::text[] is null or level = any ($11)))`;

const STUDENTS = `
  ($9::text[] is null or students.site_id in (select id from sites where code = any ($9)))
  and ($10::text[] is null or students.grade = any ($10))
  and ($11::text[] is null or students.sis_id = any ($11))`;

// A line per student and phone. The position is that of the phone among all of the student's.
const REACH = `
    select students.id as student_id, sites.id as site_id, sites.code, students.language,
      coalesce(sites.zone, $2) as zone, sites.caller_id, contact_points.phone, case when $7 then (
        select 1 + count(*) from (
          select from contact_points as other
          where other.student_id = students.id and other.phone is not null and ($3 or other.owner = 'home')
          group by other.phone
          having min(${placeOf('other')}) < min(${placeOf('contact_points')})
        ) as before
      ) end as position`;

/** Those who hear the same, where no student is named: by language and sites. */
const HEARERS = `(language || ' ' || array_to_string(sites, ' '))`;

/** The next phones of chosen students, each with all the chosen students behind it. */
const reachByPhone = (chosen: string): string => `
  part as materialized (
    select distinct contact_points.phone as key
    from contact_points join students on students.id = contact_points.student_id
    where contact_points.phone > $4 and ${REACHABLE} and ${chosen}
    order by 1 limit $5),
  reach as (${REACH}
    from part join contact_points on contact_points.phone = part.key
      join students on students.id = contact_points.student_id
      join sites on sites.id = students.site_id
    where ${REACHABLE} and ${chosen}
    group by students.id, sites.id, contact_points.phone)`;

/**
 * The next chosen students that no call is for yet: those without a phone, and those whose phone was changed
 * while the audience was planned.
 */
const reachOfRest = (chosen: string): string => `
  part as materialized (
    select key from (
      select students.id as key from students where students.id > $4::uuid and ${chosen}
      except
      select call_recipients.student_id from calls join call_recipients on call_recipients.call_id = calls.id
      where calls.broadcast_id = $1) as untold
    order by 1 limit $5),
  reach as (${REACH}
    from part join students on students.id = part.key
      join sites on sites.id = students.site_id
      left join contact_points on contact_points.student_id = students.id and ${REACHABLE}
    group by students.id, sites.id, contact_points.phone)`;

const REACH_BY_NUMBERS = `
  part as materialized (
    select distinct asked.phone as key
    from broadcasts, jsonb_array_elements_text(broadcasts.audience -> 'phones') as asked (phone)
    where broadcasts.id = $1 and asked.phone > $4 and $3::boolean is not null and $7::boolean is not null
    order by 1 limit $5),
  reach as (
    select null::uuid as student_id, sites.id as site_id, sites.code, $10 as language,
      coalesce(sites.zone, $2) as zone, sites.caller_id, part.key::e164 as phone, null::bigint as position
    from sites, part where sites.code = $9)`;

// One planned call per phone, and one that is born done per student without a phone. Its language is the one
// that most of the students behind the phone speak at home; its site, where they go to several schools, the
// first by code, and its rank its place among the calls of that site.
//
// A chain's later phones are held. Whether one may go is asked anew once it has its audio, since the phones
// before it may be of another chunk: planned later, or called already.
//
// Who hears what a page of calls heard before them, and has its audio, gets that prompt at once ($8): a call of
// a message to everybody is written once and not twice.
//
// No two large sets are joined: without statistics of what was written a moment ago PostgreSQL would compare
// each with each. A phone of the rest may have its call already.
const plan = (reach: string): string => `
  with ${reach},
  target as materialized (
    select phone, mode() within group (order by language) as language,
      (array_agg(zone order by code))[1] as zone, (array_agg(caller_id order by code))[1] as caller_id,
      (array_agg(site_id order by code))[1] as site_id,
      array_agg(site_id order by code) as sites, array_agg(student_id order by code) as students,
      array_agg(position order by code) as positions,
      case when bool_or(position = 1) then 'open' when bool_or(position > 1) then 'held' end as chain
    from reach group by phone, case when phone is null then student_id end),
  known as materialized (
    select coalesce(jsonb_object_agg(asked.key, asked.value), '{}') as prompts
    from jsonb_each_text($8::jsonb) as asked join prompts on prompts.hash = asked.value and prompts.state = 'rendered'),
  lane as materialized (
    select zone, lane_of($1, zone, '{}') as id
    from (select distinct zone from target where phone is not null) as zones),
  planned as materialized (
    select target.*, coalesce(
        (select calls.id from calls where calls.broadcast_id = $1 and calls.phone = target.phone), uuidv7()) as id,
      coalesce(($6::jsonb ->> site_id::text)::bigint, 0)
        + row_number() over (partition by site_id order by phone) as rank,
      case when phone is not null then (select prompts from known) ->> ${HEARERS} end as prompt_hash
    from target),
  added as (
    insert into calls (id, broadcast_id, phone, language, zone, caller_id, prompt_hash, state, outcome,
      finished_at, chain, lane_id, rank)
    select id, $1, phone, language, zone, caller_id, prompt_hash,
      case when phone is null then 'done' when prompt_hash is null then 'planned'
        when chain = 'held' then 'waiting' else 'ready' end,
      case when phone is null then 'no_number' end,
      case when phone is null then now() end, case when phone is not null then chain end,
      case when phone is not null then (select lane.id from lane where lane.zone = planned.zone) end, rank
    from planned
    on conflict (broadcast_id, phone) do nothing),
  recipients as (
    insert into call_recipients (call_id, site_id, student_id, position)
    select planned.id, line.site_id, line.student_id, case when phone is not null then line.position end
    from planned, unnest(sites, students, positions) as line (site_id, student_id, position)
    on conflict do nothing)
  select (select count(*) from part)::integer as parts, (select max(key::text) from part) as after,
    $6::jsonb || (select coalesce(jsonb_object_agg(site_id, rank), '{}')
      from (select site_id, max(rank) as rank from planned group by 1) as sites) as places`;

type Stage = 'phones' | 'rest';
const FIRST: Readonly<Record<Stage, string>> = { phones: '', rest: '00000000-0000-0000-0000-000000000000' };

/** Those that are planned here; a correction's is in corrections.ts. */
type ChunkedAudience = Exclude<Audience, { kind: 'reached' }>;

const PLAN: Readonly<Record<ChunkedAudience['kind'], Partial<Record<Stage, string>>>> = {
  absent: { phones: plan(reachByPhone(ABSENT)), rest: plan(reachOfRest(ABSENT)) },
  students: { phones: plan(reachByPhone(STUDENTS)), rest: plan(reachOfRest(STUDENTS)) },
  numbers: { phones: plan(REACH_BY_NUMBERS) },
};

// With nobody to call there is nothing for the dialer to finish.
const PREPARED = `
  update broadcasts set prepared_at = now(),
    state = case when called then state else 'done' end, finished_at = case when called then finished_at else now() end
  from (select exists (select from calls where broadcast_id = $1) as called) as calls
  where id = $1 and state in ('held', 'running', 'paused')
  returning called`;

const COUNT = `
  select (select count(*) from calls where broadcast_id = $1) as calls,
    (select count(*) from call_recipients join calls on calls.id = call_id where broadcast_id = $1)
      as recipients`;

const FAIL = `
  update broadcasts set state = 'failed', reason = $2, finished_at = now()
  where id = $1 and prepared_at is null and state in ('held', 'running', 'paused')`;

export interface AudienceSize {
  /** Planned calls, also those that nobody can be called for. */
  calls: number;
  /** Lines of the report: a student, or a phone that came with the request. */
  recipients: number;
}

interface Preparation {
  stage: Stage;
  after: string;
  places: Record<string, number>;
  chunk: number;
}

type PlanningRules = Pick<District, 'zone'> & { policy: Pick<Policy, 'oneAtATime'> };
type Planned = Pick<Broadcast, 'id' | 'category' | 'schoolDate' | 'audience'>;

/**
 * Plans the next chunk of an audience: turns phones of the roster, or numbers of the request, into planned
 * calls and their recipients. All students behind a phone are in its chunk. Each is a transaction of its own,
 * so it may be interrupted anywhere, and run by two at once.
 *
 * `prompts`: what those hear to whom the same is said, by `Household.hearers`; a call whose prompt is rendered
 * is ready at once.
 *
 * False: nothing is left. Then the broadcast is prepared (one without any call is done), or it is over and
 * gets no calls any more. Throws NOT_FOUND when the site of the numbers is gone.
 */
export async function planChunk(
  db: Database,
  broadcast: Planned,
  district: PlanningRules,
  prompts: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  const { id, category, audience, schoolDate } = broadcast;
  if (audience.kind === 'reached') throw new TypeError('a correction is planned by planCorrection');
  await db.query(BEGIN, [id]);
  try {
    return await inTransaction(db, async (tx) => {
      const at = await maybeOne<Preparation>(tx, LOCK, [id]);
      if (at === undefined) return false;
      const limit = CHUNKS[Math.min(at.chunk, CHUNKS.length - 1)] ?? 0;
      const { parts, after, places } = await one<{ parts: number; after: string | null; places: object }>(
        tx,
        PLAN[audience.kind][at.stage] ?? '',
        [
          id,
          district.zone,
          EVERY_PHONE.has(category),
          at.after,
          limit,
          JSON.stringify(at.places),
          district.policy.oneAtATime.includes(category),
          JSON.stringify(prompts),
          ...filtersOf(audience, schoolDate),
        ],
      );
      const more = parts === limit;
      const next: Stage | undefined = more ? at.stage : at.stage === 'phones' ? 'rest' : undefined;
      if (next === undefined || PLAN[audience.kind][next] === undefined) return await finish(tx, broadcast);
      if ((await maybeOne(tx, STILL_WANTED, [id])) === undefined) throw NOT_WANTED;
      await wakeDialer(tx);
      await tx.query(SAVE, [id, next, more ? after : FIRST[next], JSON.stringify(places)]);
      return true;
    });
  } catch (error) {
    if (error !== NOT_WANTED) throw error;
    await db.query(FORGET, [id]);
    return false;
  }
}

/** Thrown to undo a chunk whose broadcast was stopped meanwhile. */
const NOT_WANTED = new Error('the broadcast is over');

async function finish(tx: Queryable, { id, audience }: Planned): Promise<false> {
  const prepared = await maybeOne<{ called: boolean }>(tx, PREPARED, [id]);
  if (prepared === undefined) throw NOT_WANTED;
  if (!prepared.called && audience.kind === 'numbers')
    throw new RollcallError('NOT_FOUND', 'the site that the numbers belong to does not exist any more', {
      details: { broadcast: id },
    });
  await tx.query(FORGET, [id]);
  return false;
}

/** Plans what is left of an audience; gives its size. See {@link planChunk}. */
export async function planAudience(
  db: Database,
  broadcast: Planned,
  district: PlanningRules,
): Promise<AudienceSize> {
  while (await planChunk(db, broadcast, district));
  return audienceSize(db, broadcast.id);
}

/** How large the audience is so far; reads all of it. */
export async function audienceSize(db: Queryable, id: string): Promise<AudienceSize> {
  return one<AudienceSize>(db, COUNT, [id]);
}

/** Gives a broadcast up that cannot be prepared; `reason` is a sentence for its owner. */
export async function failBroadcast(db: Queryable, id: string, reason: string): Promise<void> {
  await db.query(FAIL, [id, reason]);
}

function filtersOf(audience: Audience, schoolDate: string): unknown[] {
  switch (audience.kind) {
    case 'absent':
      return [schoolDate, audience.sites ?? null, audience.levels ?? null];
    case 'students':
      return [audience.sites ?? null, audience.grades ?? null, audience.students ?? null];
    case 'numbers':
      return [audience.site, audience.language];
  }
}
