import type { Audience } from '../domain/audience.ts';
import type { Category } from '../domain/terms.ts';
import { RollcallError } from '../errors.ts';
import type { Broadcast } from './broadcasts.ts';
import { one, type Queryable } from './db.ts';
import type { District } from './district.ts';

/** Where a minute matters, every phone of a student rings; elsewhere the two home phones. */
const EVERY_PHONE: ReadonlySet<Category> = new Set<Category>(['emergency_school_hours', 'schools_out']);

// Locks the broadcast, so that two preparations take turns and a stop waits for the calls that it must end.
const LOCK = `
  select prepared_at is null and state in ('held', 'running', 'paused') as open
  from broadcasts where id = $1 for update`;

// $1 broadcast, $2 district's zone, $3 every phone or the home phones; what comes after is the kind's own.

const ABSENT = `
  select id, site_id, language from students
  where exists (
      select from absences
      where absences.student_id = students.id and school_date = $4 and code = 'unexcused')
    and site_id in (
      select id from sites
      where ($5::text[] is null or code = any ($5)) and ($6::text[] is null or level = any ($6)))`;

const STUDENTS = `
  select id, site_id, language from students
  where ($4::text[] is null or site_id in (select id from sites where code = any ($4)))
    and ($5::text[] is null or grade = any ($5))
    and ($6::text[] is null or sis_id = any ($6))`;

/** One line per student and phone; one without a phone for a student whom nobody can be called for. */
const reachByRoster = (students: string): string => `
  chosen as (${students}),
  reach as materialized (
    select distinct chosen.id as student_id, sites.id as site_id, sites.code, chosen.language,
      coalesce(sites.zone, $2) as zone, sites.caller_id, contact_points.phone
    from chosen
    join sites on sites.id = chosen.site_id
    left join contact_points on contact_points.student_id = chosen.id
      and contact_points.phone is not null and ($3 or contact_points.owner = 'home'))`;

const REACH_BY_NUMBERS = `
  reach as materialized (
    select distinct null::uuid as student_id, sites.id as site_id, sites.code, $5 as language,
      coalesce(sites.zone, $2) as zone, sites.caller_id, asked.phone::e164 as phone
    from sites, unnest($6::text[]) as asked (phone)
    where sites.code = $4 and $3::boolean is not null)`;

// One planned call per phone, and one that is born done per student without a phone. Its language is the one
// that most of the students behind the phone speak at home; its site, where they go to several schools, the
// first by code. Measured: 10,000 students, 14,000 calls, 20,000 recipients in 1.3 s on two busy cores.
const plan = (reach: string): string => `
  with ${reach},
  spoken as (
    select distinct on (phone) phone, language from reach where phone is not null
    group by phone, language order by phone, count(*) desc, language),
  placed as (
    select distinct on (phone) phone, zone, caller_id from reach where phone is not null
    order by phone, code),
  planned as materialized (
    select uuidv7() as id, phone, language, zone, caller_id, null::uuid as student_id
    from spoken join placed using (phone)
    union all
    select uuidv7(), null, language, zone, caller_id, student_id from reach where phone is null),
  added as (
    insert into calls (id, broadcast_id, phone, language, zone, caller_id, state, outcome, finished_at)
    select id, $1, phone, language, zone, caller_id,
      case when phone is null then 'done' else 'planned' end,
      case when phone is null then 'no_number' end,
      case when phone is null then now() end
    from planned
    on conflict (broadcast_id, phone) do nothing
    returning id),
  recipients as (
    insert into call_recipients (call_id, site_id, student_id)
    select added.id, reach.site_id, reach.student_id
    from added join planned using (id) join reach on reach.phone = planned.phone
    union all
    select added.id, reach.site_id, reach.student_id
    from added join planned using (id) join reach on reach.student_id = planned.student_id
    returning call_id)
  select (select count(*) from added) as calls, (select count(*) from recipients) as recipients`;

const PLAN: Readonly<Record<Audience['kind'], string>> = {
  absent: plan(reachByRoster(ABSENT)),
  students: plan(reachByRoster(STUDENTS)),
  numbers: plan(REACH_BY_NUMBERS),
};

// With nobody to call there is nothing for the dialer to finish.
const PREPARED = `
  update broadcasts set prepared_at = now(),
    state = case when $2 then 'done' else state end, finished_at = case when $2 then now() end
  where id = $1`;

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

/**
 * Turns the roster, or the numbers of the request, into planned calls and their recipients, and notes that
 * the broadcast is prepared; one without any call is done. Once only: a broadcast that is prepared already
 * gives the size that it has, and one that is over gets no calls any more. Run it in a transaction.
 */
export async function planAudience(
  tx: Queryable,
  broadcast: Pick<Broadcast, 'id' | 'category' | 'schoolDate' | 'audience'>,
  district: Pick<District, 'zone'>,
): Promise<AudienceSize> {
  const { id, category, audience } = broadcast;
  const { open } = await one<{ open: boolean }>(tx, LOCK, [id]);
  if (!open) return one<AudienceSize>(tx, COUNT, [id]);
  const size = await one<AudienceSize>(tx, PLAN[audience.kind], [
    id,
    district.zone,
    EVERY_PHONE.has(category),
    ...filtersOf(audience, broadcast.schoolDate),
  ]);
  if (size.calls === 0 && audience.kind === 'numbers')
    throw new RollcallError('NOT_FOUND', 'the site that the numbers belong to does not exist any more', {
      details: { broadcast: id },
    });
  await tx.query(PREPARED, [id, size.calls === 0]);
  return size;
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
      return [audience.site, audience.language, audience.phones];
  }
}
