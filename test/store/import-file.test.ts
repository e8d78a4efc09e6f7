import { PassThrough, Readable } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import t from 'tap';
import type { ImportKind } from '../../engine/domain/roster.ts';
import { importFile } from '../../engine/imports/import-file.ts';
import { createLog } from '../../engine/log.ts';
import { rows } from '../../engine/store/db.ts';
import { getImport, listImports } from '../../engine/store/imports.ts';
import { IMPORT_LOCK } from '../../engine/store/roster.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
await db.query(`insert into sites (code, name, level) values
  ('ELM', 'Elementary', 'elementary'), ('HGH', 'High', 'high')`);
t.beforeEach(() => db.query('truncate imports, students cascade'));

const STUDENTS = 'student_id,school_code,first_name,last_name,grade,language,primary_phone,secondary_phone';
const CONTACTS = 'student_id,contact,first_name,last_name,language,home_phone,mobile_phone,work_phone,email';
const ATTENDANCE = 'student_id,date,period,code';

const send = (kind: ImportKind, content: string | Buffer, fileName = `${kind}.csv`) =>
  importFile(db, {
    kind,
    fileName,
    stream: Readable.from([Buffer.from(content)]),
    createdBy: 'test',
    country: 'US',
  });
const students = (...lines: string[]) => send('students', [STUDENTS, ...lines, ''].join('\n'));
const contacts = (...lines: string[]) => send('contacts', [CONTACTS, ...lines, ''].join('\n'));
const attendance = (...lines: string[]) => send('attendance', [ATTENDANCE, ...lines, ''].join('\n'));

const ANA = '1,ELM,Ana,Peña,K,es,303-555-0142,303-555-0143';
const BEN = "2,HGH,Ben,O'Neil,9,en,(720) 555-4242,";

const points = () =>
  rows<{ student: string; owner: string; kind: string; value: string; since: Date }>(
    db,
    `select s.sis_id as student, owner, kind, coalesce(phone, email) as value, since
    from contact_points c join students s on s.id = c.student_id order by 1, 2, 3`,
  );

t.test('students and their home phones are stored, and the file is listed', async (t) => {
  const result = await students(ANA, BEN);
  t.match(result, {
    kind: 'students',
    fileName: 'students.csv',
    added: 2,
    changed: 0,
    unchanged: 0,
    rejected: 0,
  });
  t.same(result.rejections, []);
  t.same(
    await rows(
      db,
      `select sis_id, code, first_name, last_name, grade, language
      from students join sites on sites.id = site_id order by 1`,
    ),
    [
      { sis_id: '1', code: 'ELM', first_name: 'Ana', last_name: 'Peña', grade: 'K', language: 'es' },
      { sis_id: '2', code: 'HGH', first_name: 'Ben', last_name: "O'Neil", grade: '9', language: 'en' },
    ],
  );
  t.match(await points(), [
    { student: '1', owner: 'home', kind: 'primary', value: '+13035550142' },
    { student: '1', owner: 'home', kind: 'secondary', value: '+13035550143' },
    { student: '2', owner: 'home', kind: 'primary', value: '+17205554242' },
  ]);
  const record = await getImport(db, result.id);
  t.match(record, { id: result.id, added: 2, createdBy: 'test', rejections: [] });
});

t.test('columns in any order and case, CRLF, a byte order mark, no last line break', async (t) => {
  const file = [
    '\ufeffPrimary_Phone,LAST_NAME, first_name ,grade,language,school_code,secondary_phone,Student_ID',
    '303-555-0142,"Peña, hija",Ana,K,es,ELM,,1',
  ].join('\r\n');
  t.match(await send('students', file), { added: 1, rejected: 0 });
  t.match(await rows(db, 'select last_name from students'), [{ last_name: 'Peña, hija' }]);
});

t.test('a byte order mark before a quoted header', async (t) => {
  const quoted = STUDENTS.split(',').map((name) => `"${name}"`);
  t.match(await send('students', `\ufeff${quoted.join(',')}\n${ANA}\n`), { added: 1, rejected: 0 });
});

t.test('the same file twice changes nothing, and keeps since when a number is known', async (t) => {
  await students(ANA, BEN);
  await contacts('1,main,Eva,Peña,es,303-555-0142,720-555-0200,,eva@example.org');
  await attendance('1,2026-09-30,all,unexcused');
  const before = await points();
  t.match(await students(ANA, BEN), { added: 0, changed: 0, unchanged: 2, rejected: 0 });
  t.match(await contacts('1,main,Eva,Peña,es,303-555-0142,720-555-0200,,eva@example.org'), {
    added: 0,
    changed: 0,
    unchanged: 1,
  });
  t.match(await attendance('1,2026-09-30,all,unexcused'), { added: 0, changed: 0, unchanged: 1 });
  t.same(await points(), before);
});

t.test('a changed phone starts afresh, an empty one goes, the others keep their date', async (t) => {
  await students(ANA, BEN);
  const before = await points();
  const changed = ANA.replace('0142', '0199');
  t.match(await students(changed, `${BEN}720-555-4343`), { added: 0, changed: 2, unchanged: 0 });
  const after = await points();
  t.same(
    after.map(({ value }) => value),
    ['+13035550199', '+13035550143', '+17205554242', '+17205554343'],
  );
  t.not(after[0]?.since.getTime(), before[0]?.since.getTime());
  t.same(after[1]?.since, before[1]?.since);
  t.same(after[2]?.since, before[2]?.since);

  t.match(await students(changed.replace(',303-555-0199', ','), `${BEN}720-555-4343`), {
    changed: 1,
    unchanged: 1,
  });
  t.same(
    (await points()).map(({ kind }) => kind),
    ['secondary', 'primary', 'secondary'],
  );
});

t.test('a changed name or school is a change; a student not in the file stays', async (t) => {
  await students(ANA, BEN);
  t.match(await students(ANA.replace('ELM', 'HGH')), { added: 0, changed: 1, unchanged: 0 });
  t.match(await rows(db, 'select count(*) from students'), [{ count: 2 }]);
});

t.test('contacts: four ways to reach each, named, and removed when empty', async (t) => {
  await students(ANA);
  const main = '1,main,Eva,Peña,es,303-555-0142,720-555-0200,970-555-0300,eva@example.org';
  t.match(await contacts(main, '1,secondary,,,,,719-555-0400,,'), { added: 2, rejected: 0 });
  t.match(
    await rows(
      db,
      `select owner, kind, first_name, language, phone, email from contact_points
      where owner <> 'home' order by 1, 2`,
    ),
    [
      { owner: 'main', kind: 'email', first_name: 'Eva', phone: null, email: 'eva@example.org' },
      { owner: 'main', kind: 'home', language: 'es', phone: '+13035550142', email: null },
      { owner: 'main', kind: 'mobile', phone: '+17205550200' },
      { owner: 'main', kind: 'work', phone: '+19705550300' },
      { owner: 'secondary', kind: 'mobile', first_name: null, language: null, phone: '+17195550400' },
    ],
  );
  const before = await points();
  t.match(await contacts('1,main,Eva,Peña Ruiz,es,303-555-0142,,,eva@example.org'), { changed: 1 });
  const after = await points();
  t.equal(after.length, before.length - 2);
  t.same(
    after.find(({ kind }) => kind === 'email')?.since,
    before.find(({ kind }) => kind === 'email')?.since,
  );
  t.match(await contacts('1,main,Eva,Peña Ruiz,es,,,,'), { changed: 1 });
  t.match(await contacts('1,main,Eva,Peña Ruiz,es,,,,'), { unchanged: 1 });
});

t.test('attendance: one row per student, date and period; a corrected code is a change', async (t) => {
  await students(ANA);
  const day = '1,2026-09-30';
  t.match(await attendance(`${day},all,unexcused`, `${day},3,tardy`, '1,2026-09-29,all,excused'), {
    added: 3,
  });
  t.match(await attendance(`${day},all,excused`), { added: 0, changed: 1, unchanged: 0 });
  t.match(await rows(db, `select code from absences where period = 'all' and school_date = '2026-09-30'`), [
    { code: 'excused' },
  ]);
});

t.test('bad rows are reported with line, column and reason, and the good ones taken', async (t) => {
  const result = await students(
    ANA,
    '',
    '3,XXX,Cy,Doe,1,en,,',
    '4,ELM,"Li\r\nsa",Doe,1,en,,',
    ',,,,,,,',
    '5,ELM,Dee,Doe,1,en,',
    '1,ELM,Ana,Twice,1,en,,',
    '6,ELM,Eli,Doe,1,en,12,720-555-4444',
    '7,ELM,,Doe,1,en,none,',
    BEN,
  );
  t.match(result, { added: 3, changed: 0, unchanged: 0, rejected: 5 });
  const file = 'students.csv';
  t.same(result.rejections, [
    { file, line: 4, column: 'school_code', reason: 'no school has the code XXX' },
    { file, line: 5, column: 'first_name', reason: 'has control characters or line breaks' },
    { file, line: 8, column: null, reason: 'the row does not have 8 cells, as the header has' },
    { file, line: 9, column: 'student_id', reason: 'line 2 is about the same: that one was taken' },
    {
      file,
      line: 10,
      column: 'primary_phone',
      reason:
        'has too few or too many digits: give the whole number with its area code; the rest of the row was taken',
    },
    { file, line: 11, column: 'first_name', reason: 'is empty' },
    { file, line: 11, column: 'primary_phone', reason: 'has letters: give digits only' },
  ]);
  t.same((await getImport(db, result.id))?.rejections, result.rejections);
  t.match(
    (await points()).filter(({ student }) => student === '6'),
    [{ kind: 'secondary', value: '+17205554444' }],
    'the child with a bad phone is known and has the other one',
  );
  t.match(await rows(db, `select last_name from students where sis_id = '1'`), [{ last_name: 'Peña' }]);
});

t.test('a bad phone takes the old one’s place: the old one is no longer the family’s', async (t) => {
  await students(ANA);
  t.match(await students(ANA.replace('303-555-0142', '303-555-01')), { changed: 1, rejected: 0 });
  t.same(
    (await points()).map(({ kind }) => kind),
    ['secondary'],
  );
});

t.test('rows about unknown students and about the same thing twice are reported', async (t) => {
  await students(ANA);
  const unknown = { column: 'student_id', reason: 'no such student is known: import the students first' };
  const first = await contacts(
    '9,main,X,Y,,,,,',
    '1,main,A,B,,303-555-0142,,,',
    '1,Main,A,B,,303-555-0143,,,',
  );
  t.match(first, { added: 1, rejected: 2 });
  t.match(first.rejections, [
    { line: 2, ...unknown },
    { line: 4, column: 'student_id', reason: /line 3/ },
  ]);
  const second = await attendance(
    '1,2026-09-30,all,tardy',
    '8,2026-09-30,all,tardy',
    '1,2026-09-30,ALL,excused',
  );
  t.match(second, { added: 1, rejected: 2 });
  t.match(second.rejections, [
    { line: 3, ...unknown },
    { line: 4, reason: /line 2/ },
  ]);
});

t.test('of two rows about the same student, one of an unknown school does not count', async (t) => {
  const { rejections } = await students('1,XXX,Ana,Peña,K,es,,', ANA);
  t.match(rejections, [{ line: 2, column: 'school_code' }]);
  t.equal(rejections.length, 1);
});

t.test('injected text is a name, and never a number', async (t) => {
  const result = await students(
    '1,ELM,=cmd(),"""; drop table students; --",1,en,PJSIP/1&Local/2,"3035550142\n"',
    '2,ELM,PJSIP/1&Local/2,Doe,1,en,"3035550142@evil",=3035550142',
  );
  t.match(result, { added: 2, rejected: 0 });
  t.same(
    result.rejections.map(({ line, column }) => [line, column]),
    [
      [2, 'primary_phone'],
      [2, 'secondary_phone'],
      [4, 'primary_phone'],
      [4, 'secondary_phone'],
    ],
  );
  t.notMatch(JSON.stringify(result.rejections), /3035550142|PJSIP|drop/);
  t.same(await points(), []);
  t.match(await rows(db, 'select first_name, last_name from students order by sis_id'), [
    { first_name: '=cmd()', last_name: '"; drop table students; --' },
    { first_name: 'PJSIP/1&Local/2' },
  ]);
});

t.test('only the first 1,000 rejections are kept, by line, and all are counted', async (t) => {
  const bad = Array.from({ length: 3_000 }, (_, index) =>
    index % 2 === 0 ? `b${index},NO,A,B,1,en,,` : `,ELM,A,B,1,en,,`,
  );
  const result = await students(ANA, ...bad);
  t.match(result, { added: 1, rejected: 3_000 });
  t.same(
    result.rejections.map(({ line }) => line),
    Array.from({ length: 1_000 }, (_, index) => index + 3),
  );
});

t.test('imports are listed newest first, page by page', async (t) => {
  const ids: string[] = [];
  for (const grade of ['1', '2', '3']) ids.unshift((await students(ANA.replace(',K,', `,${grade},`))).id);
  const page = await listImports(db, { limit: 2 });
  t.same(
    page.map(({ id }) => id),
    ids.slice(0, 2),
  );
  t.match(page[0], { kind: 'students', fileName: 'students.csv', changed: 1, createdBy: 'test' });
  t.notOk('rejections' in (page[0] ?? {}));
  const rest = await listImports(db, { limit: 2, after: page[1]?.id ?? '' });
  t.same(
    rest.map(({ id }) => id),
    ids.slice(2),
  );
  t.equal(await getImport(db, '00000000-0000-0000-0000-000000000000'), undefined);
});

t.test('the log has counts and ids, no names and no numbers', async (t) => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => lines.push(line) });
  const stream = Readable.from([`${STUDENTS}\n${ANA}\n${BEN.replace('720', '000')}\n`]);
  await importFile(db, {
    kind: 'students',
    fileName: 'Ana Peña.csv',
    stream,
    createdBy: 'test',
    country: 'US',
    log,
  });
  t.equal(lines.length, 1);
  t.match(JSON.parse(lines[0] ?? ''), { msg: 'file imported', kind: 'students', added: 2, rejected: 0 });
  t.notMatch(lines[0], /Ana|Peña|555/);
});

t.test('a client’s file name is only text', async (t) => {
  const { fileName } = await send('students', `${STUDENTS}\n${ANA}\n`, '../../etc/\u0000pass\nwd');
  t.equal(fileName, '../../etc/passwd');
  t.equal((await send('students', `${STUDENTS}\n${ANA}\n`, ' \n')).fileName, 'students.csv');
});

t.test('two imports at once take turns', async (t) => {
  const results = await Promise.all([students(ANA, BEN), students(BEN, ANA), students(ANA)]);
  t.equal(
    results.reduce((sum, { added }) => sum + added, 0),
    2,
  );
  t.equal(
    results.reduce((sum, { unchanged }) => sum + unchanged, 0),
    3,
  );
});

t.test(
  'an import waits for another that is changing the roster, not for one that is being read',
  async (t) => {
    const reading = new PassThrough();
    const slow = importFile(db, {
      kind: 'students',
      fileName: 'slow.csv',
      stream: reading,
      createdBy: 'test',
      country: 'US',
    });
    reading.write(`${STUDENTS}\n`);
    t.match(await students(ANA), { added: 1 }, 'while the slow one is read');

    const other = await db.connect();
    await other.query('begin');
    await other.query('select pg_advisory_xact_lock($1)', [IMPORT_LOCK]);
    reading.end(`${ANA}\n`);
    const waits = `select from pg_stat_activity where wait_event = 'advisory' and datname = current_database()`;
    let finished = false;
    const done = slow.finally(() => {
      finished = true;
    });
    while (!finished && (await rows(db, waits)).length === 0) await tick();
    t.equal(finished, false, 'it waits');
    await other.query('rollback');
    other.release();
    t.match(await done, { added: 0, unchanged: 1 });
  },
);
