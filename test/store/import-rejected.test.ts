import { PassThrough, Readable } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import t from 'tap';
import { isRollcallError } from '../../engine/errors.ts';
import { importFile } from '../../engine/imports/import-file.ts';
import { openDatabase, rows } from '../../engine/store/db.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
await db.query(`insert into sites (code, name, level) values ('ELM', 'Elementary', 'elementary')`);

const HEADER = 'student_id,school_code,first_name,last_name,grade,language,primary_phone,secondary_phone';
const GOOD = '1,ELM,Ana,Peña,K,es,303-555-0142,';

const send = (stream: Readable) =>
  importFile(db, { kind: 'students', fileName: 'students.csv', stream, createdBy: 'test', country: 'US' });

/** Whole, and byte by byte: neither may depend on where the network cuts. */
const cuts = (content: Buffer): Readable[] => [
  Readable.from([content]),
  Readable.from(Array.from(content, (byte) => Buffer.of(byte))),
];

async function untouched(t: Test) {
  const counts = `select (select count(*) from students) as students, (select count(*) from imports) as imports,
    (select count(*) from contact_points) as points`;
  t.same(await rows(db, counts), [{ students: 0, imports: 0, points: 0 }], 'nothing changed');
  t.equal(db.idleCount, db.totalCount, 'no connection is kept');
}
type Test = Pick<typeof t, 'same' | 'equal'>;

const utf16 = (text: string, mark: number[]) =>
  Buffer.concat([Buffer.from(mark), Buffer.from(text, 'utf16le')]);
const csv = (...lines: string[]) => [...lines, ''].join('\n');
const SAVE = /save it as UTF-8/;

const files: Record<string, { content: string | Buffer; why: RegExp; line?: number; column?: string }> = {
  'no bytes': { content: '', why: /is empty: it must have a header row with student_id, school_code/ },
  'only a byte order mark': { content: '\ufeff', why: /is empty/ },
  'only blank lines': { content: '\n\n ,\n', why: /is empty/ },
  'only a header': { content: csv(HEADER), why: /a header and no rows/ },
  'an unknown column': {
    content: csv(`${HEADER},shoe_size`, `${GOOD},43`),
    why: /line 1, column shoe_size: this column is not known/,
    line: 1,
    column: 'shoe_size',
  },
  'a column without a name': {
    content: csv(`${HEADER},`, `${GOOD},43`),
    why: /column is not known/,
    line: 1,
    column: '(empty, number 9)',
  },
  'a missing column': {
    content: csv(HEADER.replace(',secondary_phone', ''), GOOD.replace(/,$/, '')),
    why: /the header lacks secondary_phone: add it/,
    line: 1,
    column: 'secondary_phone',
  },
  'a column twice': {
    content: csv(`${HEADER},Grade`, `${GOOD},1`),
    why: /twice/,
    line: 1,
    column: 'grade',
  },
  'no header': { content: csv(GOOD, GOOD), why: /column is not known/, line: 1 },
  'a header below blank lines': { content: csv('', '', 'x,y'), why: /not known/, line: 3, column: 'x' },
  semicolons: { content: csv(HEADER.replaceAll(',', ';')), why: /not separated by commas/, line: 1 },
  tabs: { content: csv(HEADER.replaceAll(',', '\t')), why: /not separated by commas/, line: 1 },
  'Latin-1': {
    content: Buffer.from(csv(HEADER, '2,ELM,Al,Doe,1,en,,', GOOD), 'latin1'),
    why: SAVE,
    line: 3,
  },
  'Latin-1 in the last line, without line break': {
    content: Buffer.from(`${HEADER}\n${GOOD}`, 'latin1'),
    why: SAVE,
    line: 2,
  },
  'a character cut short': {
    content: Buffer.concat([Buffer.from(`${HEADER}\n${GOOD}`), Buffer.of(0xc3)]),
    why: SAVE,
    line: 2,
  },
  'UTF-16, little end first': {
    content: utf16(csv(HEADER, GOOD), [0xff, 0xfe]),
    why: /UTF-16.*save it as UTF-8/,
  },
  'UTF-16, big end first': {
    content: utf16(csv(HEADER, GOOD), [0xff, 0xfe]).swap16(),
    why: /UTF-16.*save it as UTF-8/,
  },
  'UTF-16 without a mark': {
    content: utf16(csv(HEADER, GOOD), []),
    why: /zero byte.*save it as UTF-8/,
    line: 1,
  },
  'a zero byte': { content: csv(HEADER, GOOD, GOOD.replace('Ana', 'A\0a')), why: /zero byte/, line: 3 },
  'one endless line': { content: 'x'.repeat(1_100_000), why: /longer than 1 MiB/, line: 1 },
  'a quote never closed': {
    content: csv(HEADER, GOOD, '"2\n2",ELM,Li,"Doe,1,en,,', GOOD),
    why: /line 3: a quotation mark in the row that begins here is never closed/,
    line: 3,
  },
  'a quote never closed in a long file': {
    content: csv(HEADER, '2,ELM,Li,"Doe,1,en,,', ...Array<string>(5_000).fill(GOOD)),
    why: /never closed/,
    line: 2,
  },
  'text after a closing quote': {
    content: csv(HEADER, '"1\n",ELM,A,B,,,,', '2,ELM,Li,"Doe"x,1,en,,'),
    why: /line 4, column last_name: there is text after a closing quotation mark/,
    line: 4,
    column: 'last_name',
  },
  'a quote inside a cell': {
    content: csv(HEADER, GOOD, '2,ELM,Robert "Bob",Doe,1,en,,').replaceAll('\n', '\r\n'),
    why: /quotation mark stands inside a cell/,
    line: 3,
    column: 'first_name',
  },
  'no good row': {
    content: csv(HEADER, '1,NO,A,B,1,en,,', '2,ELM,,B,1,en,,', '3,ELM'),
    why: /none of its 3 rows can be taken \(the first: school_code: no school has the code NO\)/,
    line: 2,
    column: 'school_code',
  },
};

for (const [name, { content, why, line, column }] of Object.entries(files)) {
  t.test(`${name}: refused, and nothing changed`, async (t) => {
    const bytes = Buffer.from(content);
    for (const stream of bytes.length > 5_000 ? [Readable.from([bytes])] : cuts(bytes)) {
      const error = await send(stream).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (!isRollcallError(error, 'FILE_REJECTED')) return t.fail(`not refused, but ${String(error)}`);
      t.match(error.message, why);
      t.match(error.message, /^students\.csv was not imported: /);
      t.equal(error.status, 422);
      t.equal(error.details.file, 'students.csv');
      t.equal(error.details.line, line);
      if (column !== undefined) t.equal(error.details.column, column);
      t.notMatch(
        `${error.message}${JSON.stringify(error.details)}`,
        /Ana|Peña|Bob|555/,
        'no names, no numbers',
      );
    }
    await untouched(t);
  });
}

t.test('a file without good rows lists what is wrong with each', async (t) => {
  const error = await send(Readable.from([csv(HEADER, '1,NO,A,B,1,en,,', '2,ELM,,B,1,en,,')])).catch(
    (error: unknown) => error,
  );
  t.match(error, {
    details: {
      rejections: [
        { file: 'students.csv', line: 2, column: 'school_code' },
        { file: 'students.csv', line: 3, column: 'first_name' },
      ],
    },
  });
});

t.test('a stream that breaks in the middle leaves nothing, and its error is told', async (t) => {
  async function* broken() {
    yield `${HEADER}\n`;
    for (let row = 0; row < 3_000; row++) yield `${row},ELM,Ana,Doe,K,es,303-555-0142,\n`;
    throw new Error('connection lost');
  }
  await t.rejects(send(Readable.from(broken())), { message: 'connection lost' });
  const closed = new PassThrough();
  closed.write(csv(HEADER, GOOD));
  const sent = send(closed);
  await tick();
  closed.destroy();
  await t.rejects(sent, { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  await untouched(t);
});

t.test('a refused request is read to its end and not destroyed, so it can be answered', async (t) => {
  const stream = new PassThrough();
  stream.write(`nonsense\n${GOOD}\n`);
  await t.rejects(send(stream), { code: 'FILE_REJECTED' });
  t.equal(stream.destroyed, false);
  for (let chunk = 0; chunk < 200; chunk++)
    if (!stream.write(Buffer.alloc(16_384))) await new Promise((resolve) => stream.once('drain', resolve));
  const ended = new Promise((resolve) => stream.once('end', resolve));
  stream.end();
  await ended;
  await untouched(t);
});

t.test('when the database cannot be reached, the request is read to its end all the same', async (t) => {
  const gone = openDatabase('postgres://nobody@127.0.0.1:1/none', { onError: () => {} });
  const stream = Readable.from(Array<string>(100).fill(csv(HEADER, GOOD)));
  const ended = new Promise((resolve) => stream.once('end', resolve));
  const request = { kind: 'students', fileName: 'x', stream, createdBy: 'test', country: 'US' } as const;
  await t.rejects(importFile(gone, request), { code: 'ECONNREFUSED' });
  await ended;
  await gone.end();
});
