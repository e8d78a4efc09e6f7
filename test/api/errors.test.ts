import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { RollcallError } from '../../engine/errors.ts';
import { openDatabase } from '../../engine/store/db.ts';
import { BROADCAST, call, send, testApi } from '../support/api.ts';

const api = await testApi(t);
const JSON_TYPE = { 'content-type': 'application/json', 'idempotency-key': 'x' };
const post = (body: string, headers: Record<string, string> = JSON_TYPE) =>
  call(api, '/v1/broadcasts', { method: 'POST', body, headers });

t.test('every error is a problem with its request id', async (t) => {
  const { status, headers, body } = await call(api, '/v1/nothing');
  t.equal(status, 404);
  t.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
  t.same(Object.keys(body).sort(), ['code', 'detail', 'instance', 'status', 'title', 'type']);
  t.match(body, { type: 'urn:rollcall:error:NOT_FOUND', title: 'Not found', status: 404, code: 'NOT_FOUND' });
  t.match(api.logged.at(-1), { request: body.instance, status: 404, route: '(none)' });
});

t.test('bodies that are none', async (t) => {
  for (const [body, headers, status, code] of [
    ['{"title": ', JSON_TYPE, 400, 'INPUT_INVALID'],
    ['', JSON_TYPE, 400, 'INPUT_INVALID'],
    ['{"__proto__": {"admin": true}}', JSON_TYPE, 400, 'INPUT_INVALID'],
    ['[]', JSON_TYPE, 400, 'INPUT_INVALID'],
    ['null', JSON_TYPE, 400, 'INPUT_INVALID'],
    ['title=x', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
    ['hello', { 'content-type': 'text/plain' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
    [`{"title": "${'x'.repeat(1024 * 1024)}"}`, JSON_TYPE, 413, 'BODY_TOO_LARGE'],
  ] as const) {
    const answer = await post(body, headers);
    t.equal(answer.status, status, body.slice(0, 30));
    t.equal(answer.body.code, code);
    t.equal(answer.body.instance.length, 36);
  }
});

t.test('the wrong method says which are right', async (t) => {
  const answer = await call(api, '/v1/broadcasts/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10', { method: 'DELETE' });
  t.equal(answer.status, 405);
  t.equal(answer.headers.allow, 'GET');
  t.equal(answer.body.code, 'METHOD_NOT_ALLOWED');
  t.equal((await call(api, '/v1/keys', { method: 'PUT', body: {} })).headers.allow, 'GET, POST');
});

t.test('paths and queries that cannot be read or stored', async (t) => {
  for (const path of [
    '/v1/sites/%zz',
    '/v1/%c0%af',
    `/v1/reports/message-tracking?site=%00`,
    '/v1/calls?after=%27',
  ]) {
    const { status, headers } = await call(api, path);
    t.match(String(status), /^40[045]$/, path);
    t.match(headers['content-type'], 'application/problem+json');
  }
});

t.test('an unexpected error tells the client nothing and the log everything', async (t) => {
  const cause = new Error('the cause');
  const broken = await testApi(t, {
    broadcastCreated: async () => {
      throw new Error('secret: select * from api_keys', { cause });
    },
    readiness: async () => {
      throw new RollcallError('INTERNAL', 'secret: /etc/rollcall');
    },
  });
  for (const { status, text, body } of [await send(broken, BROADCAST), await call(broken, '/readyz')]) {
    t.equal(status, 500);
    t.notMatch(text, /secret/);
    t.match(body, { code: 'INTERNAL' });
    t.ok(broken.logged.some((line) => line.request === body.instance && line.level === 'error'));
  }
  const line = broken.logged.find(({ err }) => (err as { cause?: unknown } | undefined)?.cause !== undefined);
  t.match(line, { err: { message: /secret/, stack: String, cause: { message: 'the cause' } } });
});

t.test('what is not ready is named', async (t) => {
  const broken = await testApi(t, {
    readiness: async () => ({ database: true, asterisk: 'no connection since 12:00' }),
  });
  const { status, headers, body } = await call(broken, '/readyz', { as: null });
  t.equal(status, 503);
  t.ok(headers['retry-after']);
  t.same(body.errors, [{ field: 'asterisk', reason: 'no connection since 12:00' }]);
  t.equal((await call(broken, '/healthz', { as: null })).status, 200, 'but it lives');
});

t.test('probes of what is not ready are one line of the log, until it changes', async (t) => {
  const parts: Record<string, true | string> = { database: true, dialer: 'no connection since 12:00' };
  const probed = await testApi(t, { readiness: async () => parts });
  const probe = async (times: number) => {
    const before = probed.logged.length;
    for (let n = 0; n < times; n++) await call(probed, '/readyz', { as: null });
    return probed.logged.slice(before);
  };
  const lines = await probe(3);
  t.equal(lines.length, 1);
  t.match(lines[0], {
    level: 'warn',
    msg: 'not ready: dialer',
    broken: [{ field: 'dialer', reason: 'no connection since 12:00' }],
  });
  t.notMatch(JSON.stringify(lines), /stack/);
  parts.database = 'gone';
  t.match(await probe(2), [{ level: 'warn', msg: 'not ready: database, dialer' }]);
  parts.database = true;
  parts.dialer = true;
  t.match(await probe(2), [{ level: 'info', msg: 'ready again' }]);
});

t.test('a validation says what is missing and what there is to choose from', async (t) => {
  const reasonsOf = async (body: object) => {
    const { status, body: problem } = await send(api, body);
    t.equal(status, 400);
    return Object.fromEntries(
      problem.errors.map(({ field, reason }: { field: string; reason: string }) => [field, reason]),
    );
  };
  const { title: _, ...untitled } = BROADCAST;
  t.match(await reasonsOf({ ...untitled, category: 'weather', audience: { kind: 'friends' } }), {
    title: 'is missing',
    category: /^must be one of: emergency_school_hours, emergency, .*, survey$/,
    'audience.kind': /^must be one of: .*numbers/,
  });
  const { category: __, ...uncategorised } = BROADCAST;
  t.match(await reasonsOf({ ...uncategorised, title: '', audience: {} }), {
    title: 'must not be empty',
    category: 'is missing',
    'audience.kind': 'is missing',
  });
  const { body } = await call(api, '/v1/calls?limit=1000');
  t.match(body.errors, [{ field: 'limit', reason: /500/ }], "zod's own words for the rest");
});

t.test('a refused body says what would be taken', async (t) => {
  const large = await post(`{"title": "${'x'.repeat(1024 * 1024)}"}`);
  t.equal(large.body.detail, 'the body may have at most 1 MiB');
  t.equal(
    (await post('x', { 'content-type': 'text/plain' })).body.detail,
    'send the body as application/json',
  );
  const upload = (body: string, type: string) =>
    call(api, '/v1/imports/students', { method: 'POST', body, headers: { 'content-type': type } });
  t.equal(
    (await upload('{}', 'application/json')).body.detail,
    'send the body as text/csv or multipart/form-data',
  );
  t.match((await upload('x'.repeat(65 * 1024), 'text/csv')).body.detail, /^the body may have at most 64 KiB/);
});

t.test('a database that cannot be reached: 503 and when to come back', async (t) => {
  const db = openDatabase('postgres://nobody@127.0.0.1:1/none', { onError: () => {} });
  t.teardown(() => db.end());
  const cut = await testApi(t, { db });
  const { status, headers, body } = await call(cut, '/v1/district');
  t.equal(status, 503);
  t.equal(body.code, 'STORE_UNAVAILABLE');
  t.equal(headers['retry-after'], '5');
});

t.test('one line per request, without what is personal or secret', async (t) => {
  const before = api.logged.length;
  await call(api, '/v1/reports/message-tracking?site=LINC&date=2026-09-14', { as: 'clerk' });
  const lines = api.logged.slice(before);
  t.equal(lines.length, 1);
  t.match(lines[0], {
    msg: 'request',
    method: 'GET',
    route: '/v1/reports/message-tracking',
    status: 200,
    ms: Number,
    key: /^[0-9a-f-]{36}$/,
  });
  const text = JSON.stringify(api.logged);
  for (const key of Object.values(api.keys)) t.notOk(text.includes(key.slice(3)));
  t.notOk(text.includes('LINC'), 'the pattern, not the URL');
});

t.test('headers that make a browser careful', async (t) => {
  const { headers } = await call(api, '/v1/sites');
  t.match(headers, { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
});

t.test('something that is not HTTP gets a problem too', async (t) => {
  await api.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = api.app.server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.write('INVITE sip:1@x SIP/2.0\r\n\r\n');
  await once(socket, 'close');
  t.match(answer, /^HTTP\/1\.1 400 .*application\/problem\+json.*INPUT_INVALID/s);
});
