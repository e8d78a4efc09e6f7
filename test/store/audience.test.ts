import t, { type Test } from 'tap';
import type { Audience } from '../../engine/domain/audience.ts';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import type { Category } from '../../engine/domain/terms.ts';
import { planAudience } from '../../engine/store/audience.ts';
import { type Broadcast, createBroadcast, getBroadcast } from '../../engine/store/broadcasts.ts';
import { one, rows } from '../../engine/store/db.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const DAY = '2026-09-14';
const district = { zone: 'America/Denver', policy: DEFAULT_POLICY };

await db.query(`
  insert into caller_ids (phone, proof, created_by) values
    ('+13035550001', 'a test', 'a test'), ('+13035550002', 'a test', 'a test');
  insert into sites (code, name, level, zone, caller_id) values
    ('ELM', 'Elm Elementary', 'elementary', null, '+13035550001'),
    ('OAK', 'Oak High', 'high', 'America/Chicago', '+13035550002')`);

interface Student {
  id: string;
  site: 'ELM' | 'OAK';
  language?: string;
  grade?: string;
  /** owner.kind -> phone */
  phones: Record<string, string>;
  absent?: string;
}

async function roster(students: Student[]): Promise<void> {
  await db.query('truncate students, broadcasts cascade');
  for (const { id, site, language = 'en', grade = '5', phones, absent } of students) {
    const { student } = await one<{ student: string }>(
      db,
      `insert into students (sis_id, site_id, first_name, last_name, grade, language)
       select $1, id, 'First ' || $1, 'Last', $3, $4 from sites where code = $2 returning id as student`,
      [id, site, grade, language],
    );
    for (const [place, phone] of Object.entries(phones)) {
      const [owner, kind] = place.split('.');
      await db.query('insert into contact_points (student_id, owner, kind, phone) values ($1, $2, $3, $4)', [
        student,
        owner,
        kind,
        phone,
      ]);
    }
    await db.query(
      `insert into contact_points (student_id, owner, kind, email) values ($1, 'main', 'email', 'a@b.org')`,
      [student],
    );
    if (absent !== undefined)
      await db.query('insert into absences (student_id, school_date, period, code) values ($1, $2, $3, $4)', [
        student,
        DAY,
        'all',
        absent,
      ]);
  }
}

async function broadcastTo(
  audience: Audience,
  category: Category = 'attendance',
  state: 'held' | 'running' = 'running',
): Promise<Broadcast> {
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category,
    template: 'attendance',
    message: null,
    audience,
    schoolDate: DAY,
    expiresAt: new Date('2026-09-15T06:00:00Z'),
    state,
    createdBy: 'test',
  });
  return broadcast;
}

const plan = (broadcast: Broadcast) => planAudience(db, broadcast, district);

/** The calls as lines: phone language zone caller-id state outcome: site/student … */
async function lines(broadcast: Broadcast): Promise<string[]> {
  const found = await rows<{ line: string }>(
    db,
    `select concat_ws(' ', coalesce(phone, '-'), calls.language, calls.zone, calls.caller_id, calls.state, outcome) || ': ' ||
       string_agg(sites.code || '/' || coalesce(sis_id, '-'), ' ' order by sites.code, sis_id) as line
     from calls join call_recipients on call_id = calls.id join sites on sites.id = call_recipients.site_id
     left join students on students.id = student_id
     where broadcast_id = $1 group by calls.id order by phone nulls last, line`,
    [broadcast.id],
  );
  return found.map(({ line }) => line);
}

async function planned(t: Test, broadcast: Broadcast, expected: string[]): Promise<void> {
  const size = await plan(broadcast);
  const found = await lines(broadcast);
  t.same(found, expected);
  t.equal(size.calls, found.length, 'the calls are counted');
  t.equal(size.recipients, found.join(' ').match(/[A-Z]{3}\//g)?.length ?? 0, 'the recipients are counted');
}

const home = (primary: string, secondary?: string) => ({
  'home.primary': primary,
  ...(secondary !== undefined && { 'home.secondary': secondary }),
});

t.test('siblings share a call, two schools too, and who has no number is counted', async (t) => {
  await roster([
    { id: 'a1', site: 'ELM', phones: home('+13035551000', '+13035551001'), absent: 'unexcused' },
    { id: 'a2', site: 'OAK', phones: home('+13035551000'), absent: 'unexcused' },
    {
      id: 'b1',
      site: 'OAK',
      phones: home('+13035552000', '+13035552000'),
      absent: 'unexcused',
      language: 'es',
    },
    { id: 'c1', site: 'ELM', phones: { 'main.mobile': '+13035553000' }, absent: 'unexcused' },
    { id: 'd1', site: 'ELM', phones: {}, absent: 'unexcused' },
    { id: 'e1', site: 'ELM', phones: home('+13035554000'), absent: 'excused' },
    { id: 'f1', site: 'ELM', phones: home('+13035555000') },
  ]);
  await planned(t, await broadcastTo({ kind: 'absent' }), [
    '+13035551000 en America/Denver +13035550001 planned: ELM/a1 OAK/a2',
    '+13035551001 en America/Denver +13035550001 planned: ELM/a1',
    '+13035552000 es America/Chicago +13035550002 planned: OAK/b1',
    '- en America/Denver +13035550001 done no_number: ELM/c1',
    '- en America/Denver +13035550001 done no_number: ELM/d1',
  ]);
  await planned(t, await broadcastTo({ kind: 'absent', levels: ['high'] }), [
    '+13035551000 en America/Chicago +13035550002 planned: OAK/a2',
    '+13035552000 es America/Chicago +13035550002 planned: OAK/b1',
  ]);
  await planned(t, await broadcastTo({ kind: 'absent', sites: ['OAK'], levels: ['elementary'] }), []);
});

t.test('an absence in one period counts, once', async (t) => {
  await roster([{ id: 'a1', site: 'ELM', phones: home('+13035551000') }]);
  await db.query(`
    insert into absences select id, '${DAY}', period, code from students,
      (values ('1', 'unexcused'), ('2', 'unexcused'), ('3', 'excused')) as periods (period, code)`);
  await planned(t, await broadcastTo({ kind: 'absent' }), [
    '+13035551000 en America/Denver +13035550001 planned: ELM/a1',
  ]);
});

t.test('every phone when a minute matters, the home phones otherwise', async (t) => {
  const phones = {
    ...home('+13035551000', '+13035551001'),
    'main.home': '+13035551000',
    'main.mobile': '+13035551002',
    'main.work': '+13035551003',
    'secondary.mobile': '+13035551004',
  };
  await roster([{ id: 'a1', site: 'ELM', phones }]);
  for (const category of ['schools_out', 'emergency_school_hours'] as const)
    t.same(
      await plan(await broadcastTo({ kind: 'students' }, category)),
      { calls: 5, recipients: 5 },
      category,
    );
  for (const category of ['emergency', 'general', 'survey', 'attendance'] as const)
    t.same(
      await plan(await broadcastTo({ kind: 'students' }, category)),
      { calls: 2, recipients: 2 },
      category,
    );
});

t.test('students chosen by site, grade and id', async (t) => {
  await roster([
    { id: 'a1', site: 'ELM', grade: '1', phones: home('+13035551000') },
    { id: 'a2', site: 'ELM', grade: '2', phones: home('+13035552000') },
    { id: 'a3', site: 'OAK', grade: '1', phones: home('+13035553000') },
  ]);
  const called = async (audience: Audience) => {
    const broadcast = await broadcastTo(audience, 'general');
    await plan(broadcast);
    return (await lines(broadcast)).map((line) => line.split('/').at(-1));
  };
  t.same(await called({ kind: 'students' }), ['a1', 'a2', 'a3']);
  t.same(await called({ kind: 'students', sites: ['ELM'] }), ['a1', 'a2']);
  t.same(await called({ kind: 'students', grades: ['1'] }), ['a1', 'a3']);
  t.same(await called({ kind: 'students', students: ['a2', 'a3', 'nobody'] }), ['a2', 'a3']);
  t.same(await called({ kind: 'students', sites: ['ELM'], grades: ['1'], students: ['a1', 'a2'] }), ['a1']);
});

t.test('a shared phone speaks the language of most, or the first by name', async (t) => {
  const phones = home('+13035551000');
  await roster([
    { id: 'a1', site: 'ELM', language: 'vi', phones },
    { id: 'a2', site: 'ELM', language: 'es', phones },
    { id: 'a3', site: 'ELM', language: 'vi', phones },
    { id: 'b1', site: 'ELM', language: 'vi', phones: home('+13035552000') },
    { id: 'b2', site: 'ELM', language: 'es', phones: home('+13035552000') },
  ]);
  await planned(t, await broadcastTo({ kind: 'students' }), [
    '+13035551000 vi America/Denver +13035550001 planned: ELM/a1 ELM/a2 ELM/a3',
    '+13035552000 es America/Denver +13035550001 planned: ELM/b1 ELM/b2',
  ]);
});

t.test('numbers of the request, each once', async (t) => {
  const audience: Audience = {
    kind: 'numbers',
    site: 'OAK',
    language: 'es',
    phones: ['+13035559000', '+13035559001', '+13035559000'],
  };
  await planned(t, await broadcastTo(audience, 'general'), [
    '+13035559000 es America/Chicago +13035550002 planned: OAK/-',
    '+13035559001 es America/Chicago +13035550002 planned: OAK/-',
  ]);
  await t.rejects(plan(await broadcastTo({ ...audience, site: 'GONE' })), { code: 'NOT_FOUND' });
});

t.test('planned once, also by four at once', async (t) => {
  await roster([
    { id: 'a1', site: 'ELM', phones: home('+13035551000') },
    { id: 'a2', site: 'ELM', phones: {} },
  ]);
  const broadcast = await broadcastTo({ kind: 'students' });
  const sizes = await Promise.all([plan(broadcast), plan(broadcast), plan(broadcast), plan(broadcast)]);
  for (const size of sizes) t.same(size, { calls: 2, recipients: 2 });
  t.equal((await lines(broadcast)).length, 2);
  t.ok((await getBroadcast(db, broadcast.id))?.preparedAt);
});

t.test('a stopped broadcast gets no calls; one without anybody is done', async (t) => {
  const stopped = await broadcastTo({ kind: 'students' });
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [stopped.id]);
  t.same(await plan(stopped), { calls: 0, recipients: 0 });
  t.match(await getBroadcast(db, stopped.id), { state: 'stopped', preparedAt: null });

  const empty = await broadcastTo({ kind: 'students', grades: ['13'] }, 'attendance', 'held');
  t.same(await plan(empty), { calls: 0, recipients: 0 });
  t.match(await getBroadcast(db, empty.id), { state: 'done', finishedAt: Date });
});

t.test('10,000 students', async (t) => {
  await db.query('truncate students, broadcasts cascade');
  await db.query(`
    insert into students (sis_id, site_id, first_name, last_name, grade, language)
    select 's' || n, (select id from sites where code = case when n % 2 = 0 then 'ELM' else 'OAK' end),
      'First', 'Last', (n % 12)::text, case when n % 3 = 0 then 'es' else 'en' end
    from generate_series(0, 9999) as n`);
  // 7,000 households with two home phones and three of the contacts; every hundredth has none.
  await db.query(`
    insert into contact_points (student_id, owner, kind, phone)
    select id, owner, kind, '+1303' || lpad((place * 1000000 + substr(sis_id, 2)::int % 7000)::text, 7, '0')
    from students, (values ('home', 'primary', 2), ('home', 'secondary', 3), ('main', 'mobile', 4),
      ('main', 'work', 5), ('secondary', 'mobile', 6)) as places (owner, kind, place)
    where substr(sis_id, 2)::int % 100 <> 0`);
  await db.query('analyze');
  for (const category of ['general', 'schools_out'] as const) {
    const broadcast = await broadcastTo({ kind: 'students' }, category);
    const started = performance.now();
    const size = await plan(broadcast);
    const ms = Math.round(performance.now() - started);
    t.comment(`${category}: ${size.calls} calls for ${size.recipients} recipients in ${ms} ms`);
    const phones = category === 'general' ? 2 : 5;
    t.same(size, { calls: 6_930 * phones + 100, recipients: 9_900 * phones + 100 });
    t.ok(ms < 10_000);
  }
});
