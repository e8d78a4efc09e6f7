import t from 'tap';
import { inTransaction, one } from '../../engine/store/db.ts';
import { createKey, revokeKey } from '../../engine/store/keys.ts';
import { call, testApi } from '../support/api.ts';

const api = await testApi(t);
const post = (body: unknown) => call(api, '/v1/keys', { method: 'POST', body });

t.test('a key is shown once, works, and is stored as a hash', async (t) => {
  const { status, body } = await post({ name: 'front office', role: 'clerk' });
  t.equal(status, 201);
  t.match(body.key, /^rc_[A-Za-z0-9_-]{43}$/);
  const used = await call(api, '/v1/calls', { as: null, headers: { authorization: `Bearer ${body.key}` } });
  t.equal(used.status, 200);
  const list = await call(api, '/v1/keys');
  t.notOk(list.text.includes(body.key.slice(3)), 'the list does not show it');
  t.match(
    list.body.items.find((key: { id: string }) => key.id === body.id),
    { name: 'front office', role: 'clerk', lastUsedAt: String, revokedAt: null },
  );
  const dump = await one<{ all: string }>(api.db, 'select json_agg(api_keys)::text as all from api_keys');
  t.notOk(dump.all.includes(body.key));
});

t.test('its use is written down at most once a minute', async (t) => {
  const { id, key } = await createKey(api.db, { name: 'busy', role: 'clerk' });
  const use = () => call(api, '/v1/calls', { as: null, headers: { authorization: `Bearer ${key}` } });
  const usedAt = async () =>
    (await one<{ at: Date }>(api.db, 'select last_used_at as at from api_keys where id = $1', [id])).at;
  await use();
  const first = await usedAt();
  await use();
  t.same(await usedAt(), first);
  await api.db.query(`update api_keys set last_used_at = now() - interval '61 seconds' where id = $1`, [id]);
  await use();
  t.ok((await usedAt()) >= first);
});

t.test('wrong input', async (t) => {
  t.equal((await post({ name: 'x', role: 'king' })).status, 400);
  t.equal((await post({ name: '', role: 'clerk' })).status, 400);
  t.equal((await post({ name: 'front office', role: 'clerk' })).status, 409, 'the name is taken');
  t.equal((await call(api, '/v1/keys/1', { method: 'DELETE' })).status, 400);
  const nobody = await call(api, '/v1/keys/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10', { method: 'DELETE' });
  t.equal(nobody.status, 404);
});

t.test("the last administrator's key cannot be revoked, also not by two at once", async (t) => {
  const { id } = await createKey(api.db, { name: 'second administrator', role: 'administrator' });
  const first = await one<{ id: string }>(api.db, `select id from api_keys where name = 'the administrator'`);
  await inTransaction(api.db, async (tx) => {
    // As revokeKey does it, stopped before its commit.
    await tx.query(`select from api_keys where role = 'administrator' for update`);
    await tx.query('update api_keys set revoked_at = now() where id = $1', [id]);
    const rival = revokeKey(api.db, first.id);
    const outcome = t.rejects(rival, { code: 'STATE_FORBIDS' });
    await one(api.db, 'select pg_sleep(0.1)::text');
    await tx.query('commit');
    await outcome;
  });

  const last = await createKey(api.db, { name: 'third administrator', role: 'administrator' });
  await api.db.query(`update api_keys set revoked_at = now() where role = 'administrator' and id <> $1`, [
    last.id,
  ]);
  const { status, body } = await call(api, `/v1/keys/${last.id}`, {
    method: 'DELETE',
    as: null,
    headers: { authorization: `Bearer ${last.key}` },
  });
  t.equal(status, 409);
  t.match(body, { code: 'STATE_FORBIDS', detail: /create another one/ });
});
