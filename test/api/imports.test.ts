import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import t from 'tap';
import { importFile } from '../../engine/imports/import-file.ts';
import { one } from '../../engine/store/db.ts';
import { type ApiUnderTest, call, testApi } from '../support/api.ts';

const api = await testApi(t);
const LIMIT = 64 * 1024;
const CSV = 'student_id,school_date,period,code\n1,2026-09-14,all,unexcused\n';

const upload = (body: unknown, headers: Record<string, string>, path = '/v1/imports/attendance', to = api) =>
  call(to, path, { method: 'POST', body, headers });

const BOUNDARY = 'xxBOUNDARYxx';
const MULTIPART = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
const part = (disposition: string, body: string) =>
  `--${BOUNDARY}\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n${body}\r\n`;
const form = (...parts: string[]) => `${parts.join('')}--${BOUNDARY}--\r\n`;

t.test('a file as the body', async (t) => {
  const { status, body } = await upload(CSV, { 'content-type': 'text/csv; charset=utf-8' });
  t.equal(status, 201);
  t.match(body, { kind: 'attendance', added: 1, rejections: [] });
  t.match(api.triggered.imported.at(-1), {
    kind: 'attendance',
    bytes: CSV.length,
    createdBy: 'the administrator',
    country: 'US',
  });
});

t.test('a file in a form, with other fields around it', async (t) => {
  const body = form(
    part('name="note"', 'daily upload'),
    part('name="file"; filename="abs.csv"', CSV),
    part('name="more"', 'x'),
  );
  t.equal((await upload(body, MULTIPART)).status, 201);
  t.match(api.triggered.imported.at(-1), { fileName: 'abs.csv', bytes: CSV.length });
});

t.test('a form with no file, or with two, imports nothing', async (t) => {
  let taken = 0;
  const careful = await testApi(t, {
    importFile: async ({ stream }) => {
      for await (const _chunk of stream);
      taken++;
      throw new Error('must not get here');
    },
  });
  const none = await upload(form(part('name="note"', 'x')), MULTIPART, undefined, careful);
  t.equal(none.status, 400);
  t.match(none.body.detail, /no file/);
  const file = part('name="file"; filename="a.csv"', CSV);
  const two = await upload(form(file, file), MULTIPART, undefined, careful);
  t.equal(two.status, 400);
  t.match(two.body.detail, /more than one file/);
  const broken = await upload(form(file).slice(0, -20), MULTIPART, undefined, careful);
  t.equal(broken.status, 400, 'cut short');
  t.equal(taken, 0, 'the importer never saw the end of a file');
});

t.test('other bodies are refused with 415', async (t) => {
  for (const type of [
    'application/json',
    'text/plain',
    'application/octet-stream',
    'application/vnd.ms-excel',
  ]) {
    const { status, body } = await upload(type.includes('json') ? '{}' : CSV, { 'content-type': type });
    t.equal(status, 415, type);
    t.equal(body.code, 'MEDIA_TYPE_UNSUPPORTED');
  }
  t.equal((await call(api, '/v1/imports/attendance', { method: 'POST' })).status, 415, 'no body');
  t.equal((await upload('x', { 'content-type': 'multipart/form-data' })).status, 400, 'no boundary');
});

t.test('another kind, or no district', async (t) => {
  t.equal((await upload(CSV, { 'content-type': 'text/csv' }, '/v1/imports/lunch')).status, 400);
  const bare = await testApi(t);
  await bare.db.query('delete from district');
  const { status, body } = await upload(CSV, { 'content-type': 'text/csv' }, undefined, bare);
  t.equal(status, 409);
  t.match(body.detail, /PUT \/v1\/district/);
});

t.test('a file that is too large is refused, whether or not it says so', async (t) => {
  const before = api.triggered.imported.length;
  const csv = { 'content-type': 'text/csv' };
  const large = 'x'.repeat(LIMIT + 1);
  for (const [body, headers] of [
    [large, csv],
    [Readable.from([large.slice(0, LIMIT), 'x']), csv],
    [form(part('name="file"; filename="a.csv"', large)), MULTIPART],
    [Readable.from([form(part('name="file"; filename="a.csv"', large))]), MULTIPART],
    ['x'.repeat(3 * LIMIT), csv],
  ] as const) {
    const { status, body: problem } = await upload(body, headers);
    t.equal(status, 413);
    t.equal(problem.code, 'BODY_TOO_LARGE');
  }
  t.equal(api.triggered.imported.length, before);
  t.equal((await upload('x'.repeat(LIMIT), csv)).status, 201, 'exactly the limit is taken');
});

/** Sends half of a request and goes away. */
async function hangUp(to: ApiUnderTest, type: string, body: string): Promise<void> {
  const { port } = to.app.server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `POST /v1/imports/attendance HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${to.keys.administrator}\r\n` +
      `content-type: ${type}\r\ncontent-length: 100000\r\n\r\n${body}`,
  );
  await new Promise<void>((resolve) => {
    to.app.server.once('importing', resolve);
  });
  socket.destroy();
}

t.test('an upload that breaks off fails the stream, so nothing is committed', async (t) => {
  let finished: Promise<string> = Promise.resolve('');
  const careful: ApiUnderTest = await testApi(t, {
    importLimitBytes: 1024 * 1024,
    importFile: ({ stream }) => {
      const read = (async () => {
        for await (const _chunk of stream) careful.app.server.emit('importing');
        return 'the end';
      })();
      finished = read.catch(() => 'an error');
      return read.then(() => {
        throw new Error('must not get here');
      });
    },
  });
  await careful.app.listen({ port: 0, host: '127.0.0.1' });
  await hangUp(careful, 'text/csv', CSV);
  t.equal(await finished, 'an error');
  await hangUp(
    careful,
    MULTIPART['content-type'],
    form(part('name="file"; filename="a.csv"', CSV)).slice(0, -30),
  );
  t.equal(await finished, 'an error');
});

t.test('with the real importer', async (t) => {
  const real: ApiUnderTest = await testApi(t, { importFile: (input) => importFile(real.db, input) });
  const bad = await upload('a,b\n1,2\n', { 'content-type': 'text/csv' }, '/v1/imports/students', real);
  t.equal(bad.status, 422);
  t.equal(bad.body.code, 'FILE_REJECTED');
  const unknown = await upload(CSV, { 'content-type': 'text/csv' }, undefined, real);
  t.equal(unknown.status, 422, 'no row can be taken');
  t.equal((await one<{ count: number }>(real.db, 'select count(*) from imports')).count, 0);
  t.same((await call(real, '/v1/imports', { as: 'clerk' })).body, { items: [], next: null });
});

t.test('the list and one import', async (t) => {
  for (let n = 1; n <= 3; n++)
    await api.db.query(
      `insert into imports (kind, file_name, sha256, added, changed, unchanged, rejected, rejections, created_by)
       values ('students', $1, '', 1, 2, 3, 1, '[{"line": 2, "column": "grade", "reason": "is empty"}]', 'sis')`,
      [`file-${n}.csv`],
    );
  const first = (await call(api, '/v1/imports?limit=2', { as: 'clerk' })).body;
  const names = (page: { items: { fileName: string }[] }) => page.items.map(({ fileName }) => fileName);
  t.same(names(first), ['file-3.csv', 'file-2.csv']);
  const second = (await call(api, `/v1/imports?limit=2&after=${first.next}`)).body;
  t.same([names(second), second.next], [['file-1.csv'], null]);
  const { body } = await call(api, `/v1/imports/${first.items[0].id}`);
  t.same(body.rejections, [{ file: 'file-3.csv', line: 2, column: 'grade', reason: 'is empty' }]);
  t.equal((await call(api, '/v1/imports/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10')).status, 404);
});
