import t from 'tap';
import { maybeOne, one } from '../../engine/store/db.ts';
import { getDistrict } from '../../engine/store/district.ts';
import { call, testApi } from '../support/api.ts';

const api = await testApi(t);
const DISTRICT = { name: 'Adams 12', zone: 'America/Denver', country: 'US', callbackPhone: '+17205550100' };
const SITE = { name: 'Lincoln', level: 'elementary', callerId: '+17205550111' };

await call(api, '/v1/caller-ids/%2B17205550111', { method: 'PUT', body: { proof: 'a test' } });

const put = (body: unknown) => call(api, '/v1/district', { method: 'PUT', body });
const putSite = (code: string, body: unknown) => call(api, `/v1/sites/${code}`, { method: 'PUT', body });

t.test('a district is stored with what it chose, and read with every default', async (t) => {
  const { status, body } = await put({ ...DISTRICT, policy: { maxTries: 2 } });
  t.equal(status, 200);
  t.equal(body.policy.maxTries, 2);
  t.equal(body.policy.retryDelaySeconds, 900);
  t.same((await call(api, '/v1/district', { as: 'operator' })).body, body);
  const stored = await one<{ policy: unknown }>(api.db, 'select policy from district');
  t.same(stored.policy, { maxTries: 2 }, 'a better default of a later version reaches this district');
  t.match(await getDistrict(api.db), DISTRICT);
});

t.test('a district that is wrong changes nothing and says which fields are', async (t) => {
  const before = (await call(api, '/v1/district')).body;
  for (const [wrong, field] of [
    [{ zone: 'Mars/Olympus' }, 'zone'],
    [{ zone: '+07:00' }, 'zone'],
    [{ country: 'usa' }, 'country'],
    [{ name: '' }, 'name'],
    [{ name: 'a\u0000b' }, 'name'],
    [{ name: 'a\r\nFrom: x' }, 'name'],
    [{ name: '\ud800' }, 'name'],
    [{ callbackPhone: '+1720555;touch /tmp/x' }, 'callbackPhone'],
    [{ callbackPhone: '7205550100' }, 'callbackPhone'],
    [{ policy: { window: { opens: '7am', closes: '21:00' } } }, 'policy.window.opens'],
    [{ policy: { maxTries: 0 } }, 'policy.maxTries'],
    [{ policy: { fancy: 1 } }, 'policy.fancy'],
    [{ colour: 'blue' }, 'colour'],
  ] as const) {
    const { status, body } = await put({ ...DISTRICT, ...wrong });
    t.equal(status, 400, JSON.stringify(wrong));
    t.equal(body.code, 'INPUT_INVALID');
    t.same(
      body.errors.map((error: { field: string }) => error.field),
      [field],
    );
  }
  const { body } = await put({});
  t.same(
    body.errors.map((error: { field: string }) => error.field).sort(),
    ['country', 'name', 'zone'],
    'one entry per field',
  );
  t.same((await call(api, '/v1/district')).body, before);
});

t.test('a site is added, then replaced', async (t) => {
  t.equal((await putSite('ADAM', SITE)).status, 201);
  const { status, body } = await putSite('ADAM', { ...SITE, zone: 'America/Phoenix' });
  t.equal(status, 200);
  t.same(body, { code: 'ADAM', ...SITE, callbackPhone: null, zone: 'America/Phoenix' });
  const list = (await call(api, '/v1/sites')).body.items;
  t.same(
    list.map((site: { code: string }) => site.code),
    ['ADAM', 'LINC', 'ROOS'],
  );
});

t.test('a site that is wrong is not stored', async (t) => {
  for (const [code, wrong] of [
    ["x'%20or%201=1--", {}],
    ['a%2f..%2fb', {}],
    ['x'.repeat(33), {}],
    ['GOOD', { level: 'university' }],
    ['GOOD', { zone: 'Nowhere' }],
    ['GOOD', { callerId: 'sip:evil@example.com' }],
  ] as const)
    t.equal((await putSite(code, { ...SITE, ...wrong })).status, 400, code);
  t.equal(await maybeOne(api.db, `select from sites where code = 'GOOD'`), undefined);
});

t.test('names are stored and given back as they are, and not run', async (t) => {
  const name = `Robert'); drop table sites;-- <script> %s $(id)`;
  t.equal((await putSite('BOBBY', { ...SITE, name })).body.name, name);
});

t.test('without a district, it says what to do', async (t) => {
  await api.db.query('delete from district');
  const { status, body } = await call(api, '/v1/district');
  t.equal(status, 404);
  t.match(body.detail, /PUT \/v1\/district/);
});
