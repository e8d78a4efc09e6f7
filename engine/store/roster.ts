import { COLUMNS, type ImportKind, type RosterRows } from '../domain/roster.ts';
import { one, type Queryable, rows } from './db.ts';
import type { ImportCounts } from './imports.ts';

/**
 * A file's rows are first staged in temporary tables of the importing transaction, then compared with the
 * roster in a few statements for all of them: memory stays flat for any length of file, and the roster is
 * locked for the comparison only, not while the file trickles in.
 */
interface Statements {
  /** What makes a row the same as another of the file. */
  key: string;
  /** Resolves `site` or `student`; rows without get `refused`. */
  resolve: string;
  unknown: Refusal['problem'];
  apply: string[];
}

// Beside the file's own columns, all text. `fresh`: nothing was stored for the row yet. `refused`: why it is not taken.
const COMMON_COLUMNS = `line integer primary key, site uuid, student uuid, fresh boolean not null default false,
  status text, refused text, first_line integer`;

const RESOLVE_STUDENT = `update import_rows r set student = s.id from students s where s.sis_id = r.student_id`;

// From here on students and contacts are alike: points that a row wants (or wants gone).
const APPLY_POINTS = [
  'analyze import_points',
  `with gone as (
    delete from contact_points c using import_points p
    where c.student_id = p.student and c.owner = p.owner and c.kind = p.kind
      and p.phone is null and p.email is null
    returning p.line)
  update import_rows set status = 'changed'
  where status is null and line in (select line from gone)`,
  `with upserted as (
    insert into contact_points (student_id, owner, kind, first_name, last_name, language, phone, email)
    select student, owner, kind, first_name, last_name, language, phone, email
    from import_points where phone is not null or email is not null
    order by student, owner, kind
    on conflict (student_id, owner, kind) do update set
      first_name = excluded.first_name, last_name = excluded.last_name, language = excluded.language,
      phone = excluded.phone, email = excluded.email,
      since = case when contact_points.phone is distinct from excluded.phone
                     or contact_points.email is distinct from excluded.email
                   then now() else contact_points.since end
    where (contact_points.first_name, contact_points.last_name, contact_points.language,
           contact_points.phone, contact_points.email)
      is distinct from
          (excluded.first_name, excluded.last_name, excluded.language, excluded.phone, excluded.email)
    returning student_id, owner, kind)
  update import_rows r set status = case when r.fresh then 'added' else 'changed' end
  where r.status is null and r.line in (
    select p.line from import_points p
    join upserted u on u.student_id = p.student and u.owner = p.owner and u.kind = p.kind)`,
];

const STATEMENTS: Record<ImportKind, Statements> = {
  students: {
    key: 'student_id',
    resolve: `update import_rows r set site = s.id from sites s where s.code = r.school_code`,
    unknown: 'unknown_school',
    apply: [
      `with upserted as (
        insert into students (sis_id, site_id, first_name, last_name, grade, language)
        select student_id, site, first_name, last_name, grade, language
        from import_rows where refused is null order by student_id
        on conflict (sis_id) do update set site_id = excluded.site_id, first_name = excluded.first_name,
          last_name = excluded.last_name, grade = excluded.grade, language = excluded.language
        where (students.site_id, students.first_name, students.last_name, students.grade, students.language)
          is distinct from
              (excluded.site_id, excluded.first_name, excluded.last_name, excluded.grade, excluded.language)
        returning sis_id, old.id is null as is_new)
      update import_rows r set status = case when u.is_new then 'added' else 'changed' end
      from upserted u where u.sis_id = r.student_id and r.refused is null`,
      `${RESOLVE_STUDENT} and r.refused is null`,
      `create temp table import_points on commit drop as
      select r.line, r.student, 'home' as owner, p.kind, null::text as first_name, null::text as last_name,
        null::text as language, p.phone, null::text as email
      from import_rows r
      cross join lateral (values ('primary', r.primary_phone), ('secondary', r.secondary_phone)) p (kind, phone)
      where r.refused is null`,
      ...APPLY_POINTS,
    ],
  },
  contacts: {
    key: 'student_id, contact',
    resolve: RESOLVE_STUDENT,
    unknown: 'unknown_student',
    apply: [
      `update import_rows r set fresh = not exists (
        select from contact_points c where c.student_id = r.student and c.owner = r.contact)
      where r.refused is null`,
      `create temp table import_points on commit drop as
      select r.line, r.student, r.contact as owner, p.kind, r.first_name, r.last_name, r.language,
        p.phone, p.email
      from import_rows r
      cross join lateral (values ('home', r.home_phone, null), ('mobile', r.mobile_phone, null),
        ('work', r.work_phone, null), ('email', null, r.email)) p (kind, phone, email)
      where r.refused is null`,
      ...APPLY_POINTS,
    ],
  },
  attendance: {
    key: 'student_id, date, period',
    resolve: RESOLVE_STUDENT,
    unknown: 'unknown_student',
    apply: [
      `with upserted as (
        insert into absences (student_id, school_date, period, code)
        select student, date::date, period, code from import_rows where refused is null
        order by student, date, period
        on conflict (student_id, school_date, period) do update set code = excluded.code
        where absences.code is distinct from excluded.code
        returning student_id, school_date, period, old.code is null as is_new)
      update import_rows r set status = case when u.is_new then 'added' else 'changed' end
      from upserted u
      where u.student_id = r.student and u.school_date = r.date::date and u.period = r.period
        and r.refused is null`,
    ],
  },
};

/** Any constant: imports take turns to change the roster. Not held while a file is read. */
export const IMPORT_LOCK = 7_655_226;

const typed = (kind: ImportKind): string => COLUMNS[kind].map((name) => `${name} text`).join(', ');

/** Prepares the transaction `tx` for {@link stageRows}; what is staged is gone when it ends. */
export async function openStage(tx: Queryable, kind: ImportKind): Promise<void> {
  // The pool's limit is for queries of requests; the contacts of 200,000 students take about a minute.
  await tx.query(`set local statement_timeout = '10min'`);
  await tx.query(`create temp table import_rows (${COMMON_COLUMNS}, ${typed(kind)}) on commit drop`);
}

/** Stages checked rows, some hundreds at a time. `line` is unique in the file. */
export async function stageRows<K extends ImportKind>(
  tx: Queryable,
  kind: K,
  batch: readonly (RosterRows[K] & { line: number })[],
): Promise<void> {
  const names = COLUMNS[kind].join(', ');
  await tx.query(
    `insert into import_rows (line, ${names})
    select line, ${names} from json_to_recordset($1) as r (line integer, ${typed(kind)})`,
    [JSON.stringify(batch)],
  );
}

/** A staged row that the roster has no place for. */
export interface Refusal {
  line: number;
  problem: 'unknown_school' | 'unknown_student' | 'duplicate';
  /** Of a duplicate: where its like is. */
  firstLine: number | null;
  /** Of an unknown school: the code in the file. */
  school: string | null;
}

/**
 * Compares the staged rows with the roster and with each other. Returns how many are refused and how many
 * remain, and the first `limit` refusals by line. From here until the transaction ends other imports wait.
 */
export async function refuseStaged(
  tx: Queryable,
  kind: ImportKind,
  limit: number,
): Promise<{ accepted: number; refused: number; refusals: Refusal[] }> {
  const { key, resolve, unknown } = STATEMENTS[kind];
  await tx.query('select pg_advisory_xact_lock($1)', [IMPORT_LOCK]);
  await tx.query('analyze import_rows');
  await tx.query(resolve);
  await tx.query(
    `update import_rows set refused = $1 where ${unknown === 'unknown_school' ? 'site' : 'student'} is null`,
    [unknown],
  );
  await tx.query(
    `update import_rows r set refused = 'duplicate', first_line = d.first_line
    from (select line, min(line) over (partition by ${key}) as first_line
          from import_rows where refused is null) d
    where r.line = d.line and d.line > d.first_line`,
  );
  const counts = await one<{ accepted: number; refused: number }>(
    tx,
    `select count(*) filter (where refused is null) as accepted, count(refused) as refused from import_rows`,
  );
  const refusals = await rows<Refusal>(
    tx,
    `select line, refused as problem, first_line as "firstLine",
      ${kind === 'students' ? `case when refused = 'unknown_school' then school_code end` : 'null'} as school
    from import_rows where refused is not null order by line limit $1`,
    [limit],
  );
  return { ...counts, refusals };
}

/** Writes the accepted rows to the roster; only what differs is touched. */
export async function applyStaged(tx: Queryable, kind: ImportKind): Promise<Omit<ImportCounts, 'rejected'>> {
  for (const statement of STATEMENTS[kind].apply) await tx.query(statement);
  return one(
    tx,
    `select count(*) filter (where status = 'added') as added,
      count(*) filter (where status = 'changed') as changed,
      count(*) filter (where status is null) as unchanged
    from import_rows where refused is null`,
  );
}
