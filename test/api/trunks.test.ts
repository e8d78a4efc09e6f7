import pg from 'pg';
import t from 'tap';
import { one } from '../../engine/store/db.ts';
import { call, testApi } from '../support/api.ts';

const api = await testApi(t);
const TRUNK = { name: 'carrier-a', endpoint: 'carrier-a', maxChannels: 40, callsPerSecond: 2.5 };
const post = (body: unknown) => call(api, '/v1/trunks', { method: 'POST', as: 'operator', body });
const patch = (id: string, body: unknown) =>
  call(api, `/v1/trunks/${id}`, { method: 'PATCH', as: 'operator', body });

const listener = new pg.Client({ connectionString: api.url });
let wakes = 0;
listener.on('notification', () => wakes++);
await listener.connect();
await listener.query('listen rollcall_dialer');
t.teardown(() => listener.end());
/** Wakes heard so far; the query comes back after the notifications that were sent before it. */
const heard = async () => {
  await listener.query('select 1');
  return wakes;
};

t.test('a trunk is added, changed, paused and resumed, and the dialer hears of each', async (t) => {
  const { status, body } = await post(TRUNK);
  t.equal(status, 201);
  t.match(body, { ...TRUNK, numberFormat: 'e164', callerId: null, state: 'active' });
  t.equal(await heard(), 1);

  const changed = await patch(body.id, {
    callsPerSecond: 0.5,
    callerId: '+17205550100',
    numberFormat: 'plain',
  });
  t.match(changed.body, {
    callsPerSecond: 0.5,
    callerId: '+17205550100',
    numberFormat: 'plain',
    maxChannels: 40,
  });
  t.match((await patch(body.id, { state: 'paused' })).body, { state: 'paused', callerId: '+17205550100' });
  t.match((await patch(body.id, { callerId: null })).body, { state: 'paused', callerId: null });
  t.equal(await heard(), 4);
});

t.test('a trunk that the carrier refused is set active again, and forgets why', async (t) => {
  const { id } = await one<{ id: string }>(
    api.db,
    `update trunks set state = 'refused', state_reason = '403' returning id`,
  );
  t.match((await patch(id, { maxChannels: 5 })).body, { state: 'refused', stateReason: '403' });
  t.match((await patch(id, { state: 'active' })).body, { state: 'active', stateReason: null });
});

t.test('what is wrong changes nothing', async (t) => {
  const before = (await call(api, '/v1/trunks')).body;
  const { id } = before.items[0];
  for (const wrong of [
    { name: 'a b' },
    { endpoint: 'x/../y' },
    { endpoint: 'PJSIP/100@evil' },
    { maxChannels: 0 },
    { maxChannels: 1.5 },
    { callsPerSecond: 0 },
    { callsPerSecond: 0.0001 },
    { callsPerSecond: '5' },
    { numberFormat: 'any' },
    { callerId: '"x" <sip:1@2>' },
  ])
    t.equal((await post({ ...TRUNK, ...{ name: 'other' }, ...wrong })).status, 400, JSON.stringify(wrong));
  for (const wrong of [{}, { state: 'refused' }, { name: 'new' }, { maxChannels: null }])
    t.equal((await patch(id, wrong)).status, 400, JSON.stringify(wrong));
  const taken = await post(TRUNK);
  t.equal(taken.status, 409);
  t.equal(taken.body.code, 'CONFLICT');
  t.equal((await patch('01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10', { maxChannels: 1 })).status, 404);
  t.same((await patch('1', { maxChannels: 1 })).body.errors, [{ field: 'id', reason: 'must be an id' }]);
  t.same((await call(api, '/v1/trunks')).body, before);
});
