import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import t from 'tap';
import { TRACKING_COLUMNS } from '../../engine/api/tracking-csv.ts';
import { totalsOf } from '../../engine/api/tracking-report.ts';
import { HEARD_LEVELS, OUTCOMES } from '../../engine/domain/terms.ts';
import { openDatabase } from '../../engine/store/db.ts';
import { attempt, call, plan, storedBroadcast, testApi } from '../support/api.ts';

const DATE = '2026-09-14';
const api = await testApi(t);
const { db } = api;
const report = async (query = '') =>
  (await call(api, `/v1/reports/message-tracking?date=${DATE}${query}`, { as: 'clerk' })).body;
const csv = async (query = '', as: 'clerk' | 'operator' = 'clerk') =>
  call(api, `/v1/reports/message-tracking.csv?date=${DATE}${query}`, { as });
const rowsOf = (text: string): Record<string, string>[] => parse(text, { columns: true, bom: true });

const { id: broadcast } = await storedBroadcast(db, {
  title: '=HYPERLINK("http://evil")',
  createdBy: 'the office',
});
await storedBroadcast(db, { title: 'Too late', state: 'missed', reason: 'found 5 hours late' });
const shared = await plan(db, {
  broadcast,
  phone: '+13035550142',
  state: 'done',
  outcome: 'confirmed',
  heard: 'confirmed',
  heardMs: 12_000,
  students: [
    { sisId: '1', site: 'LINC', firstName: 'Ana', lastName: 'Peña, "Nena"' },
    { sisId: '2', site: 'ROOS', firstName: '@SUM(A1:A9)', lastName: 'x' },
  ],
});
await attempt(db, shared, { number: 1, outcome: 'busy', sipCode: 486 });
await attempt(db, shared, { number: 2, outcome: 'confirmed', interrupted: true });
await plan(db, {
  broadcast,
  phone: null,
  state: 'done',
  outcome: 'no_number',
  students: [{ sisId: '3', site: 'LINC' }],
});
await plan(db, { broadcast, phone: '+442079460000', outcome: 'busy', sites: ['LINC'] });
const { id: otherDay } = await storedBroadcast(db, { schoolDate: '2026-09-15' });
await plan(db, { broadcast: otherDay, sites: ['LINC'] });

t.test('siblings share a call and have a line each, under the school of each', async (t) => {
  const found = await report();
  t.match(found.sites, [
    {
      code: 'LINC',
      name: 'Lincoln Elementary',
      recipients: 3,
      byOutcome: { confirmed: 1, no_number: 1 },
      pending: 1,
      heard: { confirmed: 1, none: 1 },
      total: 3,
    },
    { code: 'ROOS', recipients: 1, byOutcome: { confirmed: 1 }, pending: 0, total: 1 },
  ]);
  t.match(found.district, { recipients: 4, byOutcome: { confirmed: 2, no_number: 1 }, pending: 1, total: 4 });
  t.equal(found.lines.length, 4);
  t.match(found.lines[0], {
    callId: shared,
    site: 'LINC',
    studentId: '1',
    student: 'Ana Peña, "Nena"',
    phone: '+13035550142',
    sentBy: 'the office',
    attempts: 2,
    sipCode: 486,
    interrupted: true,
    heardMs: 12_000,
    messageMs: 12_000,
    outcome: 'confirmed',
  });
  t.match(found.broadcasts, [{ state: 'running' }, { state: 'missed', reason: 'found 5 hours late' }]);
});

t.test('filters; an outcome chooses lines and leaves the totals', async (t) => {
  const atRoosevelt = await report('&site=ROOS');
  t.same(
    atRoosevelt.sites.map((site: { code: string }) => site.code),
    ['ROOS'],
  );
  t.equal(atRoosevelt.district.total, 1);
  t.equal(atRoosevelt.lines.length, 1);
  const pending = await report('&outcome=pending');
  t.equal(pending.lines.length, 1);
  t.match(pending.lines[0], { outcome: 'pending', studentId: null, attempts: 0, firstAttemptAt: null });
  t.equal(pending.district.total, 4);
  t.equal((await report(`&broadcast=${otherDay}`)).district.total, 0);
  t.equal((await call(api, '/v1/reports/message-tracking?date=2026-09-15')).body.district.pending, 1);
});

t.test('pages give every line once', async (t) => {
  const whole = (await report()).lines;
  const found: unknown[] = [];
  let after = '';
  do {
    const page = await report(`&limit=1${after}`);
    found.push(...page.lines);
    after = page.next === null ? '' : `&after=${page.next}`;
  } while (after !== '');
  t.same(found, whole);
});

t.test('what is wrong', async (t) => {
  for (const wrong of [
    '&outcome=great',
    '&broadcast=1',
    '&after=abc',
    '&after=e30',
    '&limit=0',
    "&site=x'--",
    '&q=1',
  ])
    t.equal((await call(api, `/v1/reports/message-tracking?date=${DATE}${wrong}`)).status, 400, wrong);
  t.equal((await call(api, '/v1/reports/message-tracking?date=14.9.2026')).status, 400);
  t.equal((await call(api, `/v1/reports/message-tracking?date=${DATE}&site=NOPE`)).status, 404);
  t.equal((await csv('&site=NOPE')).status, 404);
  t.equal((await csv('&limit=1')).status, 400);
});

t.test('the CSV has the same lines, and no cell that a spreadsheet runs', async (t) => {
  const { status, headers, text } = await csv();
  t.equal(status, 200);
  t.equal(headers['content-type'], 'text/csv; charset=utf-8');
  t.equal(headers['content-disposition'], `attachment; filename="message-tracking-${DATE}.csv"`);
  const lines = rowsOf(text);
  t.same(Object.keys(lines[0] ?? {}), [...TRACKING_COLUMNS]);
  t.equal(lines.length, 4);
  t.match(lines[0], {
    date: DATE,
    site: 'LINC',
    broadcast: `'=HYPERLINK("http://evil")`,
    'sent by': 'the office',
    'student id': '1',
    student: 'Ana Peña, "Nena"',
    phone: '1-303-555-0142',
    attempts: '2',
    'first attempt': /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$/,
    outcome: 'confirmed',
    'heard seconds': '12.0',
    'message seconds': '12.0',
    'SIP code': '486',
    interrupted: 'yes',
  });
  t.equal(lines.find((line) => line['student id'] === '2')?.student, "'@SUM(A1:A9) x");
  t.equal(lines.find((line) => line.outcome === 'pending')?.phone, "'+442079460000");
  for (const cell of lines.flatMap((line) => Object.values(line))) t.notMatch(cell, /^[\s"]*[=+\-@＝＋－＠]/);
  t.equal(rowsOf((await csv('&outcome=no_number')).text).length, 1);
});

t.test('totals add up, whatever happened', async () => {
  const { id: random } = await storedBroadcast(db, { schoolDate: '2026-10-01' });
  const one = fc.record({
    state: fc.constantFrom('planned' as const, 'ready' as const, 'dialing' as const, 'done' as const),
    outcome: fc.constantFrom(...OUTCOMES),
    heard: fc.constantFrom(...HEARD_LEVELS),
    sites: fc.subarray(['LINC', 'ROOS'], { minLength: 1 }),
    siblings: fc.integer({ min: 0, max: 2 }),
  });
  let students = 100;
  await fc.assert(
    fc.asyncProperty(fc.array(one, { maxLength: 8 }), async (calls) => {
      await db.query('delete from calls where broadcast_id = $1', [random]);
      let lines = 0;
      for (const { state, outcome, heard, sites, siblings } of calls) {
        await plan(db, {
          broadcast: random,
          state,
          outcome,
          heard,
          sites,
          students: Array.from({ length: siblings }, () => ({ sisId: String(++students), site: 'ROOS' })),
        });
        lines += sites.length + siblings;
      }
      const { body } = await call(api, '/v1/reports/message-tracking?date=2026-10-01&limit=500');
      const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);
      for (const each of [...body.sites, body.district]) {
        if (sum(each.byOutcome) + each.pending !== each.total) return false;
        if (sum(each.heard) + each.pending !== each.total || each.recipients !== each.total) return false;
      }
      const total = sum(body.sites.map((site: { total: number }) => site.total));
      return body.district.total === lines && total === lines && body.lines.length === lines;
    }),
    { numRuns: 40 },
  );
});

t.test('an outcome that the engine does not know would show as a difference', async (t) => {
  const counts = [{ site: 'LINC', outcome: 'abducted' as 'heard', heard: 'none' as const, lines: 2 }];
  t.match(totalsOf(counts), { recipients: 2, total: 0 });
});

t.test('a long report streams, and a reader that leaves gives its connection back', async (t) => {
  const { id } = await storedBroadcast(db, { schoolDate: '2026-11-02' });
  await db.query(
    `with planned as (
       insert into calls (broadcast_id, phone, language, zone, state)
       select $1, '+1720' || (5550000 + n), 'en', 'America/Denver', 'planned' from generate_series(1, 20000) n
       returning id)
     insert into call_recipients (call_id, site_id)
     select planned.id, sites.id from planned, sites where code = 'LINC'`,
    [id],
  );
  const few = openDatabase(api.url, { max: 4, onError: () => {} });
  const small = await testApi(t, { db: few });
  t.teardown(() => few.end());
  await small.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = small.app.server.address() as { port: number };
  const download = (signal?: AbortSignal) =>
    fetch(`http://127.0.0.1:${port}/v1/reports/message-tracking.csv?date=2026-11-02`, {
      headers: { authorization: `Bearer ${api.keys.clerk}` },
      ...(signal && { signal }),
    });
  const controller = new AbortController();
  const open = await Promise.all([1, 2, 3].map(() => download(controller.signal)));
  t.same(
    open.map(({ status }) => status),
    [200, 200, 200],
  );
  const fourth = await download();
  t.equal(fourth.status, 429);
  t.ok(fourth.headers.get('retry-after'));
  await fourth.text();
  controller.abort();
  // The server hears of it when it is told by the socket; until then it is still busy.
  let again = await download();
  for (const deadline = Date.now() + 10_000; again.status === 429 && Date.now() < deadline; ) {
    await again.text();
    again = await download();
  }
  const text = await again.text();
  t.equal(text.split('\r\n').length, 20_002, 'a header, 20,000 lines, and nothing after the last line break');
});
