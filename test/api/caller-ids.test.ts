import t from 'tap';
import { call, testApi } from '../support/api.ts';

const api = await testApi(t);
const PHONE = '+17205550111';
const path = (phone: string) => `/v1/caller-ids/${encodeURIComponent(phone)}`;
const put = (phone: string, body: unknown) => call(api, path(phone), { method: 'PUT', body });
const putSite = (callerId: string | null) =>
  call(api, '/v1/sites/LINC', { method: 'PUT', body: { name: 'Lincoln', level: 'high', callerId } });

t.test('a number is proven, its proof replaced, and who said so is kept', async (t) => {
  const added = await put(PHONE, { proof: 'Letter of 2026-08-03', provenAt: '2026-08-03T15:00:00Z' });
  t.equal(added.status, 201);
  t.same(added.body, {
    phone: PHONE,
    proof: 'Letter of 2026-08-03',
    provenAt: '2026-08-03T15:00:00.000Z',
    createdBy: 'the administrator',
  });
  const again = await put(PHONE, { proof: 'Called it: the front office answers' });
  t.equal(again.status, 200);
  t.ok(Date.now() - Date.parse(again.body.provenAt) < 60_000, 'now');
  t.same((await call(api, '/v1/caller-ids')).body.items, [again.body]);
});

t.test('a site shows only a number of the list, which then cannot be removed', async (t) => {
  const unproven = await putSite('+17205550112');
  t.equal(unproven.status, 422);
  t.match(unproven.body, { code: 'CALLER_ID_UNPROVEN', detail: /PUT \/v1\/caller-ids/ });
  t.equal((await putSite(PHONE)).status, 200);
  const used = await call(api, path(PHONE), { method: 'DELETE' });
  t.equal(used.status, 409);
  t.equal(used.body.code, 'CONFLICT');
  t.equal((await putSite(null)).status, 200);
  t.match((await call(api, path(PHONE), { method: 'DELETE' })).body, { phone: PHONE });
  t.equal((await call(api, path(PHONE), { method: 'DELETE' })).status, 404);
  t.equal((await putSite(PHONE)).status, 422);
});

t.test('what is no number to show, or has no proof, is refused', async (t) => {
  for (const phone of ['17205550111', '+1720555', '+19005550111', '+13039110111', 'sip:a@b'])
    t.equal((await put(phone, { proof: 'x' })).status, 400, phone);
  for (const body of [{}, { proof: '' }, { proof: 'x', provenAt: 'soon' }, { proof: 'x', createdBy: 'me' }])
    t.equal((await put(PHONE, body)).status, 400, JSON.stringify(body));
  t.same((await call(api, '/v1/caller-ids')).body.items, []);
});
