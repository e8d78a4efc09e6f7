import { randomUUID } from 'node:crypto';
import t from 'tap';
import type { HeardLevel } from '../../engine/domain/terms.ts';
import { HEARD_LEVELS } from '../../engine/domain/terms.ts';
import { getBroadcast } from '../../engine/store/broadcasts.ts';
import { planCorrection } from '../../engine/store/corrections.ts';
import { inTransaction, rows } from '../../engine/store/db.ts';
import { attempt, call, plan, storedBroadcast, testApi } from '../support/api.ts';

const api = await testApi(t);
const { db } = api;
const MESSAGE = { message: { en: 'Schools are open. Our earlier message was a mistake.' } };
const correct = (id: string, body: object = MESSAGE, key: string = randomUUID()) =>
  call(api, `/v1/broadcasts/${id}/correct`, {
    method: 'POST',
    as: 'sender',
    body,
    headers: { 'idempotency-key': key },
  });
const planned = (id: string) => inTransaction(db, (tx) => planCorrection(tx, id));
const phonesOf = async (id: string) =>
  (
    await rows<{ phone: string }>(db, 'select phone from calls where broadcast_id = $1 order by phone', [id])
  ).map(({ phone }) => phone);

/** A call that is done, by how much of it was heard. */
const heard = (broadcast: string, phone: string, level: HeardLevel, heardMs = 0) =>
  plan(db, { broadcast, phone, state: 'done', outcome: 'busy', heard: level, heardMs, sites: ['LINC'] });

t.test('stops, and reaches those who heard something, whatever it was', async (t) => {
  const { id } = await storedBroadcast(db);
  const phoneOf = (index: number) => `+130355561${String(index).padStart(2, '0')}`;
  for (const [index, level] of HEARD_LEVELS.entries()) await heard(id, phoneOf(index), level, 100);
  await db.query(`update calls set heard_ms = 0 where heard = 'none'`);
  await heard(id, '+13035556150', 'none', 900);
  await plan(db, { broadcast: id, phone: '+13035556151' });
  await plan(db, { broadcast: id, phone: null, state: 'done', outcome: 'no_number' });
  const waiting = await plan(db, {
    broadcast: id,
    phone: '+13035556152',
    outcome: 'partial',
    heard: 'partial',
  });
  const { status, body } = await correct(id);
  t.equal(status, 201);
  t.equal(body.settled, true);
  t.match(body.broadcast, {
    title: 'Correction: Snow day',
    category: 'schools_out',
    urgency: 1,
    state: 'running',
    corrects: id,
    audience: { kind: 'reached', broadcast: id },
  });
  t.match(api.triggered.created, [body.broadcast.id]);
  t.match(await getBroadcast(db, id), { state: 'stopped' });
  t.same(await planned(body.broadcast.id), { calls: 9, recipients: 8, more: false });
  t.same(await phonesOf(body.broadcast.id), [
    ...HEARD_LEVELS.flatMap((level, index) => (level === 'none' ? [] : [phoneOf(index)])),
    '+13035556150',
    '+13035556152',
  ]);
  t.ok((await getBroadcast(db, body.broadcast.id))?.preparedAt);
  t.ok(waiting);
});

t.test('the same language, hours, caller and recipients', async (t) => {
  const { id } = await storedBroadcast(db);
  const call = await plan(db, {
    broadcast: id,
    state: 'done',
    outcome: 'heard',
    heard: 'full',
    students: [
      { sisId: 'S1', site: 'LINC' },
      { sisId: 'S2', site: 'ROOS' },
    ],
  });
  await db.query(
    `update calls set language = 'es', zone = 'America/Chicago', caller_id = '+13035550100' where id = $1`,
    [call],
  );
  const correction = (await correct(id)).body.broadcast.id;
  t.same(await planned(correction), { calls: 1, recipients: 2, more: false });
  const columns = `select phone, language, zone, caller_id,
    (select array_agg(student_id order by student_id) from call_recipients where call_id = calls.id) as students
    from calls where broadcast_id = $1`;
  t.same(await rows(db, columns, [correction]), await rows(db, columns, [id]));
});

t.test('live calls get it when they end, each phone once', async (t) => {
  const { id } = await storedBroadcast(db);
  await heard(id, '+13035556201', 'full');
  const live = await plan(db, { broadcast: id, phone: '+13035556202', state: 'dialing', heard: 'partial' });
  const silent = await plan(db, { broadcast: id, phone: '+13035556203', state: 'dialing' });
  await attempt(db, live, { state: 'answered' });
  await attempt(db, silent, { state: 'placed' });
  const correction = (await correct(id)).body.broadcast.id;
  t.match(await planned(correction), { calls: 1, more: true });
  t.match(await planned(correction), { calls: 0, more: true });
  t.equal((await getBroadcast(db, correction))?.preparedAt, null, 'it is not complete');
  await db.query(
    `update calls set state = 'done', outcome = 'heard', heard = 'full', finished_at = now() where id = $1`,
    [live],
  );
  t.match(await planned(correction), { calls: 1, more: true });
  await db.query(`update calls set state = 'done', outcome = 'busy', finished_at = now() where id = $1`, [
    silent,
  ]);
  await Promise.all([planned(correction), planned(correction)]);
  t.same(await phonesOf(correction), ['+13035556201', '+13035556202']);
  t.ok((await getBroadcast(db, correction))?.preparedAt);
  t.match(await planned(correction), { calls: 0, more: false }, 'prepared is prepared');
});

t.test('the same key and body give the same correction, another body is refused', async (t) => {
  const { id } = await storedBroadcast(db);
  await heard(id, '+13035556301', 'full');
  const key = randomUUID();
  const [one, two] = await Promise.all([correct(id, MESSAGE, key), correct(id, MESSAGE, key)]);
  t.same([one?.status, two?.status].sort(), [200, 201]);
  t.equal(one?.body.broadcast.id, two?.body.broadcast.id);
  t.equal((await correct(id, MESSAGE, key)).status, 200);
  t.match(await correct(id, { ...MESSAGE, title: 'Other' }, key), {
    status: 409,
    body: { code: 'IDEMPOTENCY_MISMATCH' },
  });
  const other = (await storedBroadcast(db)).id;
  t.match(await correct(other, MESSAGE, key), { status: 409 }, 'the key is for one broadcast');
  t.match(await getBroadcast(db, other), { state: 'running' }, 'and nothing was stopped');
});

t.test(
  'what is done can be corrected, and a correction too: who heard any of it hears the last word',
  async (t) => {
    const { id } = await storedBroadcast(db);
    await heard(id, '+13035556401', 'full');
    await heard(id, '+13035556402', 'full');
    await db.query(`update broadcasts set state = 'done', finished_at = now() where id = $1`, [id]);
    const first = (await correct(id, { ...MESSAGE, title: 'First' })).body.broadcast;
    t.equal(first.title, 'First');
    t.match(await getBroadcast(db, id), { state: 'done' });
    await planned(first.id);
    await db.query(
      `update calls set state = 'done', outcome = 'heard', heard = 'full', finished_at = now()
    where broadcast_id = $1 and phone = '+13035556401'`,
      [first.id],
    );
    const second = (await correct(first.id)).body.broadcast;
    t.match(await getBroadcast(db, first.id), { state: 'stopped' });
    t.match(await planned(second.id), { calls: 2 });
    t.equal(second.corrects, first.id);
  },
);

t.test('nobody heard anything: it is done at once; what never was cannot be corrected', async (t) => {
  const { id } = await storedBroadcast(db, { state: 'held' });
  await plan(db, { broadcast: id });
  const { body } = await correct(id);
  t.same(await planned(body.broadcast.id), { calls: 0, recipients: 0, more: false });
  t.match(await getBroadcast(db, body.broadcast.id), { state: 'done' });
  for (const state of ['missed', 'failed']) {
    const other = (await storedBroadcast(db)).id;
    await db.query('update broadcasts set state = $2 where id = $1', [other, state]);
    t.match(await correct(other), { status: 409, body: { code: 'STATE_FORBIDS' } });
  }
  t.equal((await correct(randomUUID())).status, 404);
  t.equal((await correct(id, {})).status, 400);
  t.equal(
    (
      await call(api, '/v1/broadcasts', {
        method: 'POST',
        as: 'sender',
        headers: { 'idempotency-key': randomUUID() },
        body: { title: 'x', category: 'general', ...MESSAGE, audience: { kind: 'reached', broadcast: id } },
      })
    ).status,
    400,
    'nobody asks for this audience by itself',
  );
});

t.test('an expiry that has passed does not keep a correction from being sent', async (t) => {
  const { id } = await storedBroadcast(db, { category: 'emergency' });
  await heard(id, '+13035556501', 'full');
  await db.query(
    `update broadcasts set state = 'done', expires_at = now() - interval '1 day' where id = $1`,
    [id],
  );
  const { expiresAt } = (await correct(id)).body.broadcast;
  t.ok(new Date(expiresAt).getTime() > Date.now() + 23 * 3_600_000);
});
