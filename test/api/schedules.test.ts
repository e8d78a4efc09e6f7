import t from 'tap';
import { call, testApi } from '../support/api.ts';

const NOW = new Date('2026-09-14T12:00:00Z');
const clock = { now: () => NOW, monotonic: () => 0, sleep: async () => {} };
const api = await testApi(t, { clock });
const SCHEDULE = {
  name: 'Attendance, elementary',
  rrule: 'DTSTART:20260817T133000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR',
  zone: 'America/Denver',
  category: 'attendance',
  template: 'attendance',
  audience: { kind: 'absent', levels: ['elementary'] },
};
const post = (body: unknown) => call(api, '/v1/schedules', { method: 'POST', body });
const patch = (id: string, body: unknown) => call(api, `/v1/schedules/${id}`, { method: 'PATCH', body });
const list = async () => (await call(api, '/v1/schedules', { as: 'sender' })).body.items;

t.test('a schedule is added and changed, and the scheduler hears of it', async (t) => {
  const { status, body } = await post(SCHEDULE);
  t.equal(status, 201);
  t.match(body, {
    ...SCHEDULE,
    validForMinutes: 240,
    enabled: true,
    nextAt: '2026-09-14T19:30:00.000Z',
    createdBy: 'the administrator',
  });
  t.equal(api.triggered.scheduleChanges, 1);
  t.same((await call(api, `/v1/schedules/${body.id}`, { as: 'sender' })).body, body);

  const off = (await patch(body.id, { enabled: false })).body;
  t.match(off, { ...SCHEDULE, enabled: false, nextAt: null });
  const changed = (await patch(body.id, { enabled: true, audience: { kind: 'absent', sites: ['LINC'] } }))
    .body;
  t.match(changed, { audience: { kind: 'absent', sites: ['LINC'] }, nextAt: '2026-09-14T19:30:00.000Z' });
  t.equal(api.triggered.scheduleChanges, 3);
  t.same(await list(), [changed]);
});

t.test('what is wrong changes nothing', async (t) => {
  const before = await list();
  const [{ id }] = before;
  const { zone: _zone, ...withoutZone } = SCHEDULE;
  const noZone = await post({ ...withoutZone, name: 'new' });
  t.equal(noZone.status, 400);
  t.equal(noZone.body.errors[0].field, 'zone');
  for (const [wrong, status] of [
    [{ zone: 'Mars/Olympus' }, 400],
    [{ rrule: '' }, 400],
    [{ rrule: 'RRULE:FREQ=SOMETIMES' }, 422],
    [{ rrule: '=cmd|calc' }, 422],
    [{ category: 'gossip' }, 400],
    [{ template: '../x' }, 422],
    [{ audience: { kind: 'absent', sites: ['NOPE'] } }, 404],
    [{ audience: { kind: 'numbers', site: 'LINC', phones: ['911'] } }, 400],
    [{ validForMinutes: 0 }, 400],
    [{ name: 'x\u0000' }, 400],
    [{ createdBy: 'me' }, 400],
  ] as const) {
    t.equal((await post({ ...SCHEDULE, name: 'new', ...wrong })).status, status, JSON.stringify(wrong));
    t.equal((await patch(id, wrong)).status, status, `patch ${JSON.stringify(wrong)}`);
  }
  t.equal((await patch(id, {})).status, 400);
  t.equal((await post(SCHEDULE)).status, 409, 'the name is taken');
  t.equal((await patch('01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10', { enabled: true })).status, 404);
  t.equal((await call(api, '/v1/schedules/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10')).status, 404);
  t.same(await list(), before);
  t.equal(api.triggered.scheduleChanges, 3);
});
