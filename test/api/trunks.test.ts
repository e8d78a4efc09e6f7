import pg from 'pg';
import t from 'tap';
import type { Role } from '../../engine/domain/terms.ts';
import { createSecrets } from '../../engine/secrets.ts';
import { one } from '../../engine/store/db.ts';
import { settleDraining, trunksForNodes } from '../../engine/store/trunks.ts';
import { attempt, call, plan, storedBroadcast, TEST_KEY, testApi } from '../support/api.ts';

const api = await testApi(t);
const TRUNK = { name: 'carrier-a', host: 'sip.carrier.example', maxChannels: 40, callsPerSecond: 2.5 };
const ACCOUNT = { auth: 'registration', username: '17205550100', secret: 'very secret' };
const NOBODY = '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10';
const post = (body: unknown, as: Role = 'administrator') =>
  call(api, '/v1/trunks', { method: 'POST', as, body });
const patch = (id: string, body: unknown) => call(api, `/v1/trunks/${id}`, { method: 'PATCH', body });
const act = (id: string, action: string) =>
  call(api, `/v1/trunks/${id}/${action}`, { method: 'POST', as: 'operator' });
const listed = async () => (await call(api, '/v1/trunks', { as: 'operator' })).body.items;
const prove = (phone: string) =>
  call(api, `/v1/caller-ids/${encodeURIComponent(phone)}`, { method: 'PUT', body: { proof: 'a test' } });

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
const stored = async (name: string) => {
  const trunk = (await trunksForNodes(api.db)).find((one) => one.name === name);
  if (trunk === undefined) throw new Error(`no trunk ${name}`);
  return trunk;
};

t.test(
  'a trunk is added and changed; Asterisk has to learn some changes, and the dialer hears of all',
  async (t) => {
    const { status, body } = await post(TRUNK);
    t.equal(status, 201);
    t.match(body, {
      ...TRUNK,
      ...{ port: null, transport: 'udp', auth: 'ip', username: null, hasSecret: false, fromDomain: null },
      ...{ codecs: ['ulaw', 'alaw'], numberFormat: 'e164', numberPrefix: null, allowedPrefixes: null },
      ...{ callerId: null, priority: 1, weight: 1, qualifySeconds: 30 },
      ...{ state: 'active', stateReason: null, openCalls: 0 },
    });
    t.equal(await heard(), 1);
    const { revision } = await stored('carrier-a');
    await prove('+17205550100');
    const pace = {
      callsPerSecond: 0.5,
      callerId: '+17205550100',
      numberFormat: 'prefix',
      numberPrefix: '0111',
    };
    t.match((await patch(body.id, pace)).body, { ...pace, maxChannels: 40 });
    t.equal((await stored('carrier-a')).revision, revision, 'nothing of this is in Asterisk');
    for (const [step, change] of [
      { host: '192.0.2.10', port: 5070 },
      { transport: 'tls' },
      { codecs: ['g722', 'ulaw'] },
      { qualifySeconds: 0 },
      { fromDomain: 'district.example' },
    ].entries()) {
      t.match((await patch(body.id, change)).body, change);
      t.equal((await stored('carrier-a')).revision, revision + step + 1, Object.keys(change).join());
    }
    await patch(body.id, { qualifySeconds: 0 });
    t.equal((await stored('carrier-a')).revision, revision + 5, 'the same again is no change');
    t.match((await patch(body.id, { callerId: null })).body, { callerId: null, callsPerSecond: 0.5 });
  },
);

t.test('a secret goes in and never comes out', async (t) => {
  const added = await post({ ...TRUNK, name: 'account', ...ACCOUNT });
  t.equal(added.status, 201);
  t.match(added.body, { hasSecret: true, auth: 'registration', username: ACCOUNT.username });
  const { open } = createSecrets(TEST_KEY);
  const first = await stored('account');
  t.equal(open(first.secret ?? Buffer.alloc(0), 'account'), ACCOUNT.secret);
  t.throws(() => open(first.secret ?? Buffer.alloc(0), 'carrier-a'), { code: 'SECRET_UNREADABLE' });

  await patch(added.body.id, { maxChannels: 3 });
  t.same(await stored('account'), first, 'kept, and no news for Asterisk');
  const changed = await patch(added.body.id, { secret: 'the second one' });
  const second = await stored('account');
  t.equal(open(second.secret ?? Buffer.alloc(0), 'account'), 'the second one');
  t.equal(second.revision, first.revision + 1);
  const gone = await patch(added.body.id, { auth: 'ip', username: null, secret: null });
  t.match(gone.body, { auth: 'ip', hasSecret: false });
  t.equal((await stored('account')).secret, null);

  const refused = await post({ ...TRUNK, name: 'x y', ...ACCOUNT });
  const shown = [added, changed, gone, refused, await call(api, '/v1/trunks')].map(({ text }) => text);
  t.notMatch([...shown, JSON.stringify(api.logged)].join(), /very secret|the second one/);
});

t.test('without SECRET_KEY a secret is refused, and nothing is stored', async (t) => {
  const without = await testApi(t, { sealSecret: createSecrets(undefined).seal });
  const { status, body } = await call(without, '/v1/trunks', {
    method: 'POST',
    body: { ...TRUNK, ...ACCOUNT },
  });
  t.equal(status, 409);
  t.match(body, { code: 'SECRET_KEY_MISSING', detail: /set SECRET_KEY/ });
  t.same((await call(without, '/v1/trunks')).body.items, []);
});

t.test('pause, drain, resume, remove', async (t) => {
  const { body: trunk } = await post({ ...TRUNK, name: 'sim' });
  t.equal((await call(api, `/v1/trunks/${trunk.id}`, { method: 'DELETE' })).body.code, 'STATE_FORBIDS');
  t.match((await act(trunk.id, 'pause')).body, { state: 'paused', stateReason: null });
  t.equal((await act(trunk.id, 'drain')).body.code, 'STATE_FORBIDS', 'it places none already');
  t.match((await act(trunk.id, 'resume')).body, { state: 'active' });

  const broadcast = await storedBroadcast(api.db);
  const planned = await plan(api.db, { broadcast: broadcast.id, state: 'dialing' });
  const open = await attempt(api.db, planned, { state: 'answered' });
  const before = await heard();
  t.match((await act(trunk.id, 'drain')).body, { state: 'draining', openCalls: 1 });
  t.equal(await heard(), before + 1);
  await act(trunk.id, 'drain');
  t.equal(await heard(), before + 1, 'again changes nothing');
  t.same(await settleDraining(api.db), []);
  t.equal((await call(api, `/v1/trunks/${trunk.id}`, { method: 'DELETE' })).status, 409);
  await api.db.query(
    `update attempts set state = 'ended', outcome = 'busy', ended_at = now() where id = $1`,
    [open],
  );
  t.same(await settleDraining(api.db), ['sim']);
  t.match(
    (await listed()).find(({ name }: { name: string }) => name === 'sim'),
    {
      state: 'paused',
      stateReason: /^drained/,
      openCalls: 0,
    },
  );

  t.match((await call(api, `/v1/trunks/${trunk.id}`, { method: 'DELETE' })).body, { stateReason: 'removed' });
  t.notOk((await listed()).some(({ name }: { name: string }) => name === 'sim'));
  for (const gone of [await act(trunk.id, 'resume'), await patch(trunk.id, { weight: 2 })])
    t.equal(gone.status, 404);
  t.equal((await post({ ...TRUNK, name: 'sim' })).status, 201, 'the name is free again');
});

t.test('a trunk that the carrier refused is resumed, and forgets why', async (t) => {
  const { id } = await one<{ id: string }>(
    api.db,
    `update trunks set state = 'refused', state_reason = '403' where name = 'sim' and removed_at is null returning id`,
  );
  t.match((await patch(id, { maxChannels: 5 })).body, { state: 'refused', stateReason: '403' });
  t.match((await act(id, 'resume')).body, { state: 'active', stateReason: null });
});

t.test('what is wrong changes nothing', async (t) => {
  const before = await listed();
  const { id } = before[0];
  for (const wrong of [
    { name: 'a b' },
    ...['x/../y', 'a@evil', 'a;transport=tcp', 'a:5060', '-a', 'a..b', 'a b', ''].map((host) => ({ host })),
    { port: 0 },
    { port: 65_536 },
    { transport: 'sctp' },
    { auth: 'digest' },
    { auth: 'digest', username: 'u' },
    { username: 'u' },
    { secret: 's' },
    { ...ACCOUNT, username: 'u@evil>' },
    { ...ACCOUNT, secret: 'two\nlines' },
    { ...ACCOUNT, secret: '' },
    { fromDomain: 'a>b' },
    { codecs: [] },
    { codecs: ['opus'] },
    { codecs: ['ulaw', 'ulaw'] },
    { maxChannels: 0 },
    { maxChannels: 1.5 },
    { callsPerSecond: 0 },
    { callsPerSecond: 0.0001 },
    { callsPerSecond: '5' },
    { numberFormat: 'any' },
    { numberFormat: 'prefix' },
    { numberPrefix: '9' },
    { numberFormat: 'prefix', numberPrefix: '9@' },
    { allowedPrefixes: [] },
    { allowedPrefixes: ['1303'] },
    { callerId: '"x" <sip:1@2>' },
    { priority: 0 },
    { weight: 0 },
    { qualifySeconds: -1 },
  ])
    t.equal((await post({ ...TRUNK, ...{ name: 'other' }, ...wrong })).status, 400, JSON.stringify(wrong));
  t.same((await post({ ...TRUNK, name: 'other', auth: 'digest' })).body.errors, [
    { field: 'username', reason: 'is needed with auth digest' },
    { field: 'secret', reason: 'is needed with auth digest' },
  ]);
  for (const wrong of [{}, { state: 'paused' }, { name: 'new' }, { maxChannels: null }, { auth: 'digest' }])
    t.equal((await patch(id, wrong)).status, 400, JSON.stringify(wrong));
  const unproven = await patch(id, { callerId: '+17205550199' });
  t.equal(unproven.status, 422);
  t.match(unproven.body, { code: 'CALLER_ID_UNPROVEN', detail: /PUT \/v1\/caller-ids/ });
  const taken = await post(TRUNK);
  t.equal(taken.status, 409);
  t.equal(taken.body.code, 'CONFLICT');
  t.equal((await patch(NOBODY, { maxChannels: 1 })).status, 404);
  t.equal((await act(NOBODY, 'pause')).status, 404);
  t.same((await patch('1', { maxChannels: 1 })).body.errors, [{ field: 'id', reason: 'must be an id' }]);
  t.same(await listed(), before);
});

t.test('operators see, pause, drain and resume; only administrators change', async (t) => {
  const [{ id }] = await listed();
  t.equal((await post({ ...TRUNK, name: 'other' }, 'operator')).status, 403);
  t.equal(
    (await call(api, `/v1/trunks/${id}`, { method: 'PATCH', as: 'operator', body: { weight: 2 } })).status,
    403,
  );
  t.equal((await call(api, `/v1/trunks/${id}`, { method: 'DELETE', as: 'operator' })).status, 403);
  t.equal((await call(api, '/v1/trunks', { as: 'sender' })).status, 403);
  t.equal((await call(api, '/v1/caller-ids', { as: 'operator' })).status, 403);
});
