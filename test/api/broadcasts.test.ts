import t from 'tap';
import type { Broadcast } from '../../engine/store/broadcasts.ts';
import { one } from '../../engine/store/db.ts';
import { BROADCAST, call, send, testApi } from '../support/api.ts';

const NOW = new Date('2026-03-08T05:30:00Z'); // 22:30 on the 7th in Denver; clocks go forward on the 8th
const clock = { now: () => NOW, monotonic: () => performance.now(), sleep: async () => {} };
const api = await testApi(t, { clock });
const stored = async () => (await one<{ count: number }>(api.db, 'select count(*) from broadcasts')).count;

t.test('a broadcast is stored, its preparation queued, and it is given back', async (t) => {
  const { status, body } = await send(api, BROADCAST);
  t.equal(status, 201);
  t.match(body, {
    title: 'Snow day',
    category: 'schools_out',
    urgency: 1,
    template: null,
    message: BROADCAST.message,
    audience: { kind: 'numbers', site: 'LINC', language: 'en', phones: ['+13035550142'] },
    schoolDate: '2026-03-07',
    expiresAt: '2026-03-08T07:00:00.000Z',
    state: 'running',
    createdBy: 'the sender',
  });
  t.same(api.triggered.created, [body.id]);
  t.same((await call(api, `/v1/broadcasts/${body.id}`, { as: 'clerk' })).body, body);
});

t.test('when it ends', async (t) => {
  const ends = async (given: object) => (await send(api, { ...BROADCAST, ...given })).body.expiresAt;
  t.equal(await ends({ schoolDate: '2026-03-08' }), '2026-03-09T06:00:00.000Z', 'a day of 23 hours');
  t.equal(await ends({ schoolDate: '2026-11-01' }), '2026-11-02T07:00:00.000Z', 'a day of 25 hours');
  t.equal(await ends({ category: 'emergency' }), '2026-03-09T05:30:00.000Z', 'an emergency: 24 hours');
  t.equal(await ends({ expiresAt: '2026-03-07T23:00:00-07:00' }), '2026-03-08T06:00:00.000Z');
});

t.test('with start: false it waits', async (t) => {
  const { body } = await send(api, { ...BROADCAST, start: false });
  t.match(body, { state: 'held', startedAt: null });
  t.ok(api.triggered.created.includes(body.id), 'and is prepared meanwhile');
});

t.test('the same key and body give the same broadcast', async (t) => {
  const first = await send(api, BROADCAST, 'same');
  const reordered = Object.fromEntries(Object.entries(BROADCAST).reverse());
  const again = await send(api, reordered, 'same');
  t.same([first.status, again.status], [201, 200]);
  t.same(again.body, first.body);
});

t.test('the same key with another body is refused and names the broadcast', async (t) => {
  const { body: first } = await send(api, BROADCAST, 'other body');
  const before = await stored();
  const { status, body } = await send(api, { ...BROADCAST, title: 'Another' }, 'other body');
  t.equal(status, 409);
  t.match(body, { code: 'IDEMPOTENCY_MISMATCH', detail: /new key/ });
  t.equal(await stored(), before);
  t.equal((await call(api, `/v1/broadcasts/${first.id}`)).body.title, 'Snow day');
});

t.test('of ten at once, one is made', async (t) => {
  const before = await stored();
  const answers = await Promise.all(Array.from({ length: 10 }, () => send(api, BROADCAST, 'at once')));
  t.same(
    answers.map(({ status }) => status).sort(),
    [...Array.from({ length: 9 }, () => 200), 201],
    'one 201, nine 200',
  );
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
  t.equal(await stored(), before + 1);
});

t.test('of two different ones at once with one key, one is refused', async (t) => {
  const answers = await Promise.all([
    send(api, BROADCAST, 'rivals'),
    send(api, { ...BROADCAST, title: 'Rival' }, 'rivals'),
  ]);
  t.same(answers.map(({ status }) => status).sort(), [201, 409]);
});

t.test('sent again after the queue was down, it is queued', async (t) => {
  const queued: string[] = [];
  let down = true;
  const flaky = await testApi(t, {
    clock,
    broadcastCreated: async (id) => {
      if (down) throw new Error('the queue is down');
      queued.push(id);
    },
  });
  t.equal((await send(flaky, BROADCAST, 'flaky')).status, 500);
  down = false;
  const { status, body } = await send(flaky, BROADCAST, 'flaky');
  t.equal(status, 200, 'stored by the first');
  t.same(queued, [body.id], 'and queued by the second');
  await flaky.db.query('update broadcasts set prepared_at = now()');
  await send(flaky, BROADCAST, 'flaky');
  t.equal(queued.length, 1, 'what is prepared is not prepared again');
});

t.test('sent again when its time is over, it is still the same', async (t) => {
  let now = NOW;
  const later = await testApi(t, { clock: { ...clock, now: () => now } });
  t.equal((await send(later, BROADCAST, 'late')).status, 201);
  now = new Date('2026-04-01T00:00:00Z');
  t.equal((await send(later, { ...BROADCAST, schoolDate: '2026-03-07' }, 'late')).status, 409);
  t.equal((await send(later, BROADCAST, 'late')).status, 200);
});

t.test('requests that are wrong store and queue nothing', async (t) => {
  const before = await stored();
  const queued = api.triggered.created.length;
  const numbers = (...phones: string[]) => ({ audience: { kind: 'numbers', site: 'LINC', phones } });
  for (const [given, status, code, fields] of [
    [{ title: '' }, 400, 'INPUT_INVALID', ['title']],
    [{ title: 'x'.repeat(201) }, 400, 'INPUT_INVALID', ['title']],
    [{ title: 'two\nlines' }, 400, 'INPUT_INVALID', ['title']],
    [{ category: 'gossip' }, 400, 'INPUT_INVALID', ['category']],
    [{ message: {} }, 400, 'INPUT_INVALID', ['message']],
    [{ message: { en: 'x'.repeat(2001) } }, 400, 'INPUT_INVALID', ['message.en']],
    [{ message: { en: 'a\u0000b' } }, 400, 'INPUT_INVALID', ['message.en']],
    [{ message: { fr: 'Bonjour' } }, 400, 'INPUT_INVALID', ['message.fr', 'message']],
    [{ message: undefined }, 400, 'INPUT_INVALID', ['message']],
    [{ template: 'attendance' }, 400, 'INPUT_INVALID', ['message']],
    [{ template: '../../etc/passwd', message: undefined }, 422, 'TEMPLATE_INVALID', ['template']],
    [{ audience: { kind: 'everybody' } }, 400, 'INPUT_INVALID', ['audience.kind']],
    [
      { audience: { kind: 'students', sites: ['LINC', 'NOPE', "x'--"] } },
      404,
      'NOT_FOUND',
      ['audience.sites.1', 'audience.sites.2'],
    ],
    [
      { audience: { kind: 'numbers', site: 'NOPE', phones: ['3035550142'] } },
      404,
      'NOT_FOUND',
      ['audience.site'],
    ],
    [
      numbers('3035550142', '123', '303-555-0142;touch x', 'PJSIP/1@evil'),
      400,
      'INPUT_INVALID',
      ['audience.phones.1', 'audience.phones.2', 'audience.phones.3'],
    ],
    [numbers('+1303555\r\n0142'), 400, 'INPUT_INVALID', ['audience.phones.0']],
    [numbers(), 400, 'INPUT_INVALID', ['audience.phones']],
    [{ audience: { kind: 'students', students: ['a\u0000b'] } }, 400, 'INPUT_INVALID', undefined],
    [{ schoolDate: '2026-02-30' }, 400, 'INPUT_INVALID', ['schoolDate']],
    [{ schoolDate: '2026-03-06' }, 400, 'INPUT_INVALID', ['schoolDate']],
    [{ expiresAt: '2026-03-07T20:00:00' }, 400, 'INPUT_INVALID', ['expiresAt']],
    [{ expiresAt: '2026-03-07T20:00:00-07:00' }, 400, 'INPUT_INVALID', ['expiresAt']],
    [{ start: 'yes' }, 400, 'INPUT_INVALID', ['start']],
    [{ urgency: 0, state: 'done' }, 400, 'INPUT_INVALID', ['urgency', 'state']],
  ] as const) {
    const answer = await send(api, { ...BROADCAST, ...given });
    const label = JSON.stringify(given).slice(0, 80);
    t.equal(answer.status, status, label);
    t.equal(answer.body.code, code, label);
    t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8');
    t.same(
      answer.body.errors?.map((error: { field: string }) => error.field),
      fields,
      label,
    );
  }
  t.equal(await stored(), before);
  t.equal(api.triggered.created.length, queued);
});

t.test('errors say what there is, and never repeat a number', async (t) => {
  const category = await send(api, { ...BROADCAST, category: 'gossip' });
  t.match(category.text, /emergency_school_hours.*survey/);
  const template = await send(api, { ...BROADCAST, message: undefined, template: 'none' });
  t.match(template.body.detail, /attendance, threshold/);
  const site = await send(api, { ...BROADCAST, audience: { kind: 'absent', sites: ['NOPE'] } });
  t.match(site.body.errors[0].reason, /NOPE/);
  const phones = ['303555014', '(303) 911-1234'];
  const number = await send(api, { ...BROADCAST, audience: { kind: 'numbers', site: 'LINC', phones } });
  t.equal(number.status, 400);
  for (const phone of phones) t.notOk(number.text.includes(phone));
  t.notOk(JSON.stringify(api.logged).includes('303555'), 'nor does the log');
});

t.test('the Idempotency-Key is needed, and is printable', async (t) => {
  const post = (headers: Record<string, string>) =>
    call(api, '/v1/broadcasts', { method: 'POST', body: BROADCAST, headers });
  for (const headers of [
    {},
    { 'idempotency-key': '' },
    { 'idempotency-key': 'x'.repeat(201) },
    { 'idempotency-key': 'é' },
  ]) {
    const { status, body } = await post(headers);
    t.equal(status, 400);
    t.equal(body.errors[0].field, 'idempotency-key');
  }
  t.match((await post({})).body.errors[0].reason, /Idempotency-Key/);
});

t.test('without a district, it says what to do first', async (t) => {
  const bare = await testApi(t, { clock });
  await bare.db.query('delete from district');
  const { status, body } = await send(bare, BROADCAST);
  t.equal(status, 409);
  t.match(body, { code: 'STATE_FORBIDS', detail: /PUT \/v1\/district/ });
});

t.test('the list has pages, newest first, and filters', async (t) => {
  const all: Broadcast[] = [];
  let after = '';
  do {
    const { body } = await call(api, `/v1/broadcasts?limit=3${after}`, { as: 'clerk' });
    all.push(...body.items);
    after = body.next === null ? '' : `&after=${body.next}`;
  } while (after !== '');
  t.equal(all.length, await stored());
  t.same(
    all.map(({ id }) => id),
    all
      .map(({ id }) => id)
      .sort()
      .reverse(),
  );
  const held = (await call(api, '/v1/broadcasts?state=held')).body.items;
  t.same(
    held.map((each: Broadcast) => each.state),
    ['held'],
  );
  const dated = (await call(api, '/v1/broadcasts?schoolDate=2026-11-01')).body.items;
  t.equal(dated.length, 1);
  for (const wrong of ['limit=0', 'limit=501', 'after=1', "state='", 'schoolDate=today', 'page=2'])
    t.equal((await call(api, `/v1/broadcasts?${wrong}`)).status, 400, wrong);
});

t.test('an id that is none', async (t) => {
  t.equal((await call(api, '/v1/broadcasts/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10')).status, 404);
  t.equal((await call(api, "/v1/broadcasts/1'%20or%20'1'='1")).status, 400);
});
