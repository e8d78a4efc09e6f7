import t from 'tap';
import { PERMISSIONS } from '../../engine/api/permissions.ts';
import { ROLES } from '../../engine/domain/terms.ts';
import { createKey } from '../../engine/store/keys.ts';
import { type Call, call, testApi } from '../support/api.ts';

const api = await testApi(t);
const ID = '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10';
const filled = (pattern: string) =>
  pattern
    .replace(':id', ID)
    .replace(':code', 'LINC')
    .replace(':name', 'asterisk-1')
    .replace(':kind', 'students')
    .replace(':hash', 'b'.repeat(64));

for (const [route, allowed] of Object.entries(PERMISSIONS)) {
  const [method, pattern = ''] = route.split(' ') as [NonNullable<Call['method']>, string];
  t.test(route, async (t) => {
    const nobody = await call(api, filled(pattern), { method, as: null });
    t.equal(nobody.status, 401, 'without a key');
    t.equal(nobody.headers['www-authenticate'], 'Bearer realm="rollcall"');
    for (const role of ROLES) {
      const { status, body } = await call(api, filled(pattern), { method, as: role });
      if (allowed.includes(role)) t.notMatch(String(status), /^(401|403|405|5..)$/, `${role} may`);
      else {
        t.equal(status, 403, `${role} may not`);
        for (const other of allowed) t.match(body.detail, other, 'names the roles that may');
      }
    }
  });
}

t.test('what each role may do in all', async (t) => {
  // Written out once more, so that a slip in the table does not pass by agreeing with itself.
  const may = (role: (typeof ROLES)[number]) =>
    Object.keys(PERMISSIONS).filter((route) => PERMISSIONS[route]?.includes(role));
  t.same(may('administrator'), Object.keys(PERMISSIONS));
  t.same(may('operator'), [
    'GET /v1/district',
    'GET /v1/sites',
    'GET /v1/trunks',
    'POST /v1/trunks/:id/pause',
    'POST /v1/trunks/:id/drain',
    'POST /v1/trunks/:id/resume',
    'GET /v1/nodes',
    'POST /v1/nodes/:name/drain',
    'POST /v1/nodes/:name/resume',
  ]);
  t.same(
    may('clerk').filter((route) => !route.startsWith('GET ')),
    [],
    'a clerk changes nothing',
  );
  t.same(
    may('sender').filter((route) => !route.startsWith('GET ')),
    [
      'POST /v1/broadcasts',
      'POST /v1/broadcasts/:id/run',
      'POST /v1/broadcasts/:id/pause',
      'POST /v1/broadcasts/:id/resume',
      'POST /v1/broadcasts/:id/stop',
      'POST /v1/broadcasts/:id/correct',
      'POST /v1/forecasts',
    ],
  );
});

t.test('health, metrics and documentation need no key', async (t) => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/docs', '/docs/json'])
    t.equal((await call(api, path, { as: null })).status, 200, path);
});

t.test('keys that are none', async (t) => {
  const { id, key } = await createKey(api.db, { name: 'to be revoked', role: 'administrator' });
  const get = (authorization: string) => call(api, '/v1/keys', { as: null, headers: { authorization } });
  t.equal((await get(`Bearer ${key}`)).status, 200);
  t.equal((await get(`bearer ${key}`)).status, 200, 'the scheme has no case');
  for (const wrong of [
    `Bearer ${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`,
    `Bearer ${key} `.repeat(2),
    `Basic ${Buffer.from(`x:${key}`).toString('base64')}`,
    key,
    'Bearer rc_',
    `Bearer rc_${'A'.repeat(43)}`,
    `Bearer rc_${"'; drop table api_keys; --".padEnd(43, 'x')}`,
  ])
    t.equal((await get(wrong)).status, 401, wrong.slice(0, 20));
  t.equal((await call(api, `/v1/keys/${id}`, { method: 'DELETE' })).status, 200);
  t.equal((await get(`Bearer ${key}`)).status, 401, 'revoked');
});

t.test('a body is not read for a key that may not send it', async (t) => {
  const { status } = await call(api, '/v1/broadcasts', {
    method: 'POST',
    as: 'clerk',
    body: 'x'.repeat(2 * 1024 * 1024),
    headers: { 'content-type': 'application/json' },
  });
  t.equal(status, 403);
});
