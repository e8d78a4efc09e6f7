import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import type { ImportKind } from '../../engine/domain/roster.ts';
import { importFile } from '../../engine/imports/import-file.ts';
import { rows } from '../../engine/store/db.ts';
import { sampleDistrict } from '../sample/district.ts';
import { behaviourOf } from '../sim/carrier/behaviours.ts';
import { testDatabase } from '../support/database.ts';

const DATE = '2026-09-30';
const { db } = await testDatabase(t);
const sample = sampleDistrict({ date: DATE });
for (const { code, name, level, callbackPhone, callerId } of sample.sites) {
  await db.query(`insert into caller_ids (phone, proof, created_by) values ($1, 'a test', 'a test')`, [
    callerId,
  ]);
  await db.query(
    'insert into sites (code, name, level, callback_phone, caller_id) values ($1, $2, $3, $4, $5)',
    [code, name, level, callbackPhone, callerId],
  );
}
const FILES: [ImportKind, string][] = [
  ['students', sample.studentsCsv],
  ['contacts', sample.contactsCsv],
  ['attendance', sample.attendanceCsv],
];
const send = (kind: ImportKind, content: string) =>
  importFile(db, {
    kind,
    fileName: `${kind}.csv`,
    stream: Readable.from([content]),
    createdBy: 'test',
    country: sample.district.country,
  });
const count = async (select: string): Promise<number> =>
  (await rows<{ count: number }>(db, `select count(*) from (${select}) x`))[0]?.count ?? 0;
const between = (t: Test, value: number, low: number, high: number, what: string) =>
  t.ok(value >= low && value <= high, `${what}: ${value}, should be ${low} to ${high}`);
type Test = Pick<typeof t, 'ok'>;

// A household is the students who share their main contact's address.
const HOUSEHOLD = `select student_id, email as household from contact_points where owner = 'main' and kind = 'email'`;
const ABSENT = `select distinct household, student_id from absences join (${HOUSEHOLD}) h using (student_id)
  where code = 'unexcused' and school_date = '${DATE}'`;

t.test('the files in the repository are what the generator makes', async (t) => {
  const read = (kind: ImportKind) => readFileSync(join(import.meta.dirname, `../sample/${kind}.csv`), 'utf8');
  // They may have been written again for another day.
  const date = /\d{4}-\d\d-\d\d/.exec(read('attendance'))?.[0] ?? '';
  const made = sampleDistrict({ date });
  t.equal(read('students'), made.studentsCsv);
  t.equal(read('contacts'), made.contactsCsv);
  t.equal(read('attendance'), made.attendanceCsv);
  t.not(sampleDistrict({ date: '2026-10-01' }).attendanceCsv, sample.attendanceCsv);
  t.equal(sampleDistrict({ date: '2026-10-01' }).studentsCsv, sample.studentsCsv);
});

t.test('every row is taken, and the second time changes nothing', async (t) => {
  for (const [kind, content] of FILES) {
    t.match(await send(kind, content), { changed: 0, unchanged: 0, rejected: 0, rejections: [] }, kind);
    t.match(await send(kind, content), { added: 0, changed: 0, rejected: 0 }, kind);
  }
});

t.test('it is a district: schools, siblings, languages, names', async (t) => {
  between(t, await count('select from students'), 420, 460, 'students');
  between(t, await count(`select distinct household from (${HOUSEHOLD}) h`), 300, 340, 'households');
  between(t, await count(`select from students where language = 'es'`), 120, 180, 'Spanish homes');
  const siblings = `select household from (${HOUSEHOLD}) h join students s on s.id = student_id
    group by 1 having count(distinct site_id) > 1`;
  between(t, await count(siblings), 40, 120, 'households with siblings in different schools');
  for (const { code } of sample.sites)
    between(
      t,
      await count(`select from students join sites on sites.id = site_id where code = '${code}'`),
      100,
      200,
      code,
    );
  for (const part of ['é', 'ñ', "'", '-', ','])
    t.ok(
      await count(`select from students where first_name || last_name like '%' || $$${part}$$ || '%'`),
      part,
    );
  t.match(sample.studentsCsv, /"King, Jr\."/);
});

t.test('no phone belongs to two households, and none to the district', async (t) => {
  const shared = `select phone from contact_points join (${HOUSEHOLD}) h using (student_id)
    where phone is not null group by phone having count(distinct household) > 1`;
  t.equal(await count(shared), 0);
  const own = sample.sites.map(({ callerId }) => `'${callerId}'`).join(', ');
  t.equal(await count(`select from contact_points where phone in (${own})`), 0);
  t.equal(await count(`select from contact_points where phone !~ '^\\+1(303|720|970|719|983)555'`), 0);
  t.equal(await count(`select from contact_points where phone like '%5551212'`), 0, 'directory assistance');
});

t.test('about 40 households are absent, some with siblings of two schools', async (t) => {
  between(t, await count(`select distinct household from (${ABSENT}) a`), 38, 44, 'absent households');
  const both = `select household from (${ABSENT}) a join students s on s.id = a.student_id
    group by 1 having count(distinct site_id) > 1`;
  between(t, await count(both), 4, 20, 'with siblings of two schools');
  for (const code of ['excused', 'tardy'])
    between(t, await count(`select from absences where code = '${code}'`), 5, 20, code);
});

t.test('the absent households’ phones show every behaviour, and few that ring for long', async (t) => {
  const homes = await rows<{ household: string; phones: string[] | null }>(
    db,
    `select household, array_agg(distinct phone::text) filter (where phone is not null) as phones
    from (${ABSENT}) a left join contact_points c on c.student_id = a.student_id and c.owner = 'home' group by 1`,
  );
  t.equal(homes.filter(({ phones }) => phones === null).length, 2, 'without a phone');
  t.equal(homes.filter(({ phones }) => phones?.length === 1).length, 5, 'with one');
  const found: Record<string, number> = {};
  for (const phone of homes.flatMap(({ phones }) => phones ?? [])) {
    const { name } = behaviourOf(phone);
    found[name] = (found[name] ?? 0) + 1;
  }
  t.same(found, {
    person: 41,
    'late-answer': 2,
    busy: 2,
    'no-answer': 2,
    voicemail: 10,
    'bad-number': 1,
    gone: 1,
    incomplete: 1,
    blocked: 1,
    declined: 1,
    overloaded: 1,
    'early-hang-up': 2,
    'hang-up-at-once': 1,
    'press-1': 5,
    'press-2': 2,
  });
  t.equal(
    await count(`select from contact_points c join (${ABSENT}) a using (student_id)
      where a.household in (select household from (${ABSENT}) x
        where not exists (select from contact_points h where h.student_id = x.student_id and h.phone is not null))
      and c.phone is not null`),
    0,
    'who has no phone has none at all',
  );
});
