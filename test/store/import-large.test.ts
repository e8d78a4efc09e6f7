import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import { stringify } from 'csv-stringify/sync';
import fc from 'fast-check';
import t from 'tap';
import { readCsv } from '../../engine/imports/csv.ts';
import { importFile } from '../../engine/imports/import-file.ts';
import { rows } from '../../engine/store/db.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
await db.query(`insert into sites (code, name, level) values ('ELM', 'Elementary', 'elementary')`);
t.beforeEach(() => db.query('truncate imports, students cascade'));

const COLUMNS = 'student_id,school_code,first_name,last_name,grade,language,primary_phone,secondary_phone';
const importStudents = (stream: Readable) =>
  importFile(db, { kind: 'students', fileName: 'students.csv', stream, createdBy: 'test', country: 'US' });

t.test('names written as CSV come back the same', async (t) => {
  // What a name may be: 1 to 80 UTF-16 units, nothing unprintable, no space around it.
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .map((text) => text.trim())
    .filter(
      (text) =>
        text !== '' && text.length <= 80 && !/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(text),
    );
  const awkward = fc.constantFrom(
    '"',
    '""',
    ',',
    '",',
    "O'Neil",
    'Peña',
    '=1+1',
    '\u{1f600}',
    'a\\"b',
    'null',
    '0',
  );
  const names = fc.array(fc.tuple(fc.oneof(name, awkward), fc.oneof(name, awkward)), {
    minLength: 1,
    maxLength: 30,
  });
  const layout = fc.record({
    quoted: fc.boolean(),
    record_delimiter: fc.constantFrom('unix' as const, 'windows' as const),
    bom: fc.boolean(),
    chunk: fc.integer({ min: 1, max: 200 }),
  });
  await fc.assert(
    fc.asyncProperty(names, layout, async (people, { chunk, ...options }) => {
      await db.query('truncate students cascade');
      const records = people.map(([first, last], index) => [
        `${index}`,
        'ELM',
        first,
        last,
        '1',
        'en',
        '',
        '',
      ]);
      const bytes = Buffer.from(stringify([COLUMNS.split(','), ...records], options));
      const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, index) =>
        bytes.subarray(index * chunk, (index + 1) * chunk),
      );
      const { added, rejected } = await importStudents(Readable.from(chunks));
      const stored = await rows<{ first_name: string; last_name: string }>(
        db,
        'select first_name, last_name from students order by sis_id::int',
      );
      const same = stored.every(
        (row, at) => row.first_name === people[at]?.[0] && row.last_name === people[at]?.[1],
      );
      return added === people.length && rejected === 0 && stored.length === people.length && same;
    }),
    { numRuns: 100 },
  );
  t.pass('100 files');
});

t.test('a file is read no faster than its rows are taken', async (t) => {
  let sent = 0;
  async function* endless() {
    yield `${COLUMNS}\n`;
    // Without back-pressure it would go on for ever.
    while (sent < 5_000) {
      sent++;
      yield `${sent},ELM,Ana,Doe,5,es,,\n`.repeat(500);
    }
  }
  const source = { file: 'x', columns: COLUMNS.split(','), hash: createHash('sha256') };
  for await (const { line } of readCsv(Readable.from(endless()), source)) {
    t.equal(line, 2);
    for (let turn = 0; turn < 1_000; turn++) await tick();
    break;
  }
  t.ok(sent < 50, `${sent} chunks of about 10 kB were asked for, for one row`);
});

t.test('a quote never closed is refused before the file is read to its end', async (t) => {
  let sent = 0;
  async function* open() {
    yield `${COLUMNS}\n1,ELM,"Ana`;
    while (sent < 1_000) {
      sent++;
      yield 'Doe,5,es,,\n'.repeat(1_000);
    }
  }
  const source = { file: 'x', columns: COLUMNS.split(','), hash: createHash('sha256') };
  const rowsOf = readCsv(Readable.from(open()), source);
  await t.rejects(rowsOf.next(), { code: 'FILE_REJECTED', details: { line: 2 } });
  t.ok(sent < 100, `${sent} chunks of about 11 kB were read`);
});

t.test('20,000 students, and the same again', async (t) => {
  const first = await timed(t, 'new', 20_000);
  t.match(first, { added: 20_000, rejected: 0 });
  t.match(await timed(t, 'the same', 20_000), { added: 0, changed: 0, unchanged: 20_000 });
  t.match(await rows(db, 'select count(*) from contact_points'), [{ count: 40_000 }]);
});

async function timed(t: Test, what: string, count: number) {
  let peak = 0;
  const before = process.memoryUsage().rss;
  async function* file() {
    yield `${COLUMNS}\n`;
    for (let row = 0; row < count; row++) {
      if (row % 500 === 0) peak = Math.max(peak, process.memoryUsage().rss);
      const line = String(row % 10_000).padStart(4, '0');
      yield `${row},ELM,José ${row},"O'Neil, Jr.",5,es,${row < 10_000 ? 303 : 720}-555-${line},970-555-${line}\n`;
    }
  }
  const start = performance.now();
  const result = await importStudents(Readable.from(file()));
  const seconds = ((performance.now() - start) / 1_000).toFixed(2);
  const mib = (bytes: number) => Math.round(bytes / 2 ** 20);
  t.comment(
    `${what}: ${count} rows in ${seconds} s, RSS ${mib(before)} -> at most ${mib(Math.max(peak, process.memoryUsage().rss))} MiB`,
  );
  return result;
}
type Test = Pick<typeof t, 'comment'>;
