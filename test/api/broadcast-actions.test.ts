import t from 'tap';
import { afterAction, BROADCAST_ACTIONS } from '../../engine/domain/broadcast-state.ts';
import { BROADCAST_STATES } from '../../engine/domain/terms.ts';
import { getBroadcast } from '../../engine/store/broadcasts.ts';
import { one, rows } from '../../engine/store/db.ts';
import { attempt, call, plan, storedBroadcast, testApi } from '../support/api.ts';

const api = await testApi(t);
const { db } = api;
const act = (id: string, action: string) =>
  call(api, `/v1/broadcasts/${id}/${action}`, { method: 'POST', as: 'sender' });
const stateOf = async (id: string) => (await getBroadcast(db, id))?.state;

t.test('every action from every state', async (t) => {
  // In the order of BROADCAST_ACTIONS: run, pause, resume, stop.
  const expected = {
    held: ['running', 409, 409, 'stopped'],
    running: ['running', 'paused', 'running', 'stopped'],
    paused: [409, 'paused', 'running', 'stopped'],
    stopped: [409, 409, 409, 'stopped'],
    done: [409, 409, 409, 409],
    missed: [409, 409, 409, 409],
    failed: [409, 409, 409, 409],
  };
  for (const state of BROADCAST_STATES)
    for (const [index, action] of BROADCAST_ACTIONS.entries()) {
      const { id } = await storedBroadcast(db);
      await db.query('update broadcasts set state = $2 where id = $1', [id, state]);
      const { status, body } = await act(id, action);
      const wanted = expected[state][index];
      t.equal(status === 200 ? body.state : status, wanted, `${action} from ${state}`);
      t.equal(await stateOf(id), status === 200 ? wanted : state);
      t.equal(afterAction(state, action), status === 200 ? wanted : undefined);
      if (status === 409) {
        t.equal(body.code, 'STATE_FORBIDS');
        t.match(body.detail, new RegExp(`is ${state}, which forbids ${action}`));
      }
    }
});

t.test('a broadcast that is run notes when it started, once', async (t) => {
  const { id } = await storedBroadcast(db, { state: 'held' });
  t.equal((await getBroadcast(db, id))?.startedAt, null);
  await act(id, 'run');
  const started = (await getBroadcast(db, id))?.startedAt;
  t.ok(started);
  await act(id, 'pause');
  await act(id, 'resume');
  t.same((await getBroadcast(db, id))?.startedAt, started);
});

t.test('a stop ends the calls that wait, and leaves those under way', async (t) => {
  const { id: broadcast } = await storedBroadcast(db);
  const other = await plan(db, { broadcast: (await storedBroadcast(db)).id });
  const planned = await plan(db, { broadcast, state: 'planned' });
  const ready = await plan(db, { broadcast });
  const retry = await plan(db, { broadcast, outcome: 'busy' });
  const dialing = await plan(db, { broadcast, state: 'dialing' });
  const done = await plan(db, { broadcast, state: 'done', outcome: 'confirmed' });
  await attempt(db, dialing, { state: 'answered' });
  t.same((await act(broadcast, 'stop')).body, { state: 'stopped', settled: true });
  const found = await rows<{ id: string; state: string; outcome: string | null }>(
    db,
    'select id, state, outcome from calls',
  );
  const of = (id: string) => found.find((each) => each.id === id);
  t.match(of(planned), { state: 'done', outcome: 'stopped' });
  t.match(of(ready), { state: 'done', outcome: 'stopped' });
  t.match(of(retry), { state: 'done', outcome: 'busy' }, 'what happened stays what happened');
  t.match(of(dialing), { state: 'dialing' });
  t.match(of(done), { state: 'done', outcome: 'confirmed' });
  t.match(of(other), { state: 'ready' });
  t.equal((await getBroadcast(db, broadcast))?.finishedAt, null, 'a call is still open');
});

t.test('a stop with no call under way finishes the broadcast', async (t) => {
  const { id: broadcast } = await storedBroadcast(db);
  await plan(db, { broadcast });
  await act(broadcast, 'stop');
  t.ok((await getBroadcast(db, broadcast))?.finishedAt);
});

for (const action of ['pause', 'stop'])
  t.test(`${action} answers when the last claimed attempt has been placed`, async (t) => {
    const { id: broadcast } = await storedBroadcast(db);
    const id = await attempt(db, await plan(db, { broadcast, state: 'dialing' }), { state: 'claimed' });
    let answered = false;
    const answer = act(broadcast, action).then((result) => {
      answered = true;
      return result;
    });
    // The state is set at once; from then on, polls find the claimed attempt.
    while ((await stateOf(broadcast)) === 'running');
    for (let polls = 0; polls < 5; polls++) await one(db, 'select pg_sleep(0.02)::text');
    t.notOk(answered);
    await db.query(`update attempts set state = 'placed', placed_at = now() where id = $1`, [id]);
    t.match((await answer).body, { settled: true });
  });

t.test('a pause waits for a claim that is being made', async (t) => {
  const { id: broadcast } = await storedBroadcast(db);
  const claim = await db.connect();
  await claim.query('begin');
  await claim.query('select from broadcasts where id = $1 for share', [broadcast]);
  const answer = act(broadcast, 'pause');
  await one(db, 'select pg_sleep(0.1)::text');
  t.equal(await stateOf(broadcast), 'running', 'not while the claim is open');
  await claim.query('commit');
  claim.release();
  t.match((await answer).body, { state: 'paused', settled: true });
});

t.test('a resume that meets a stop does not undo it', async (t) => {
  const { id } = await storedBroadcast(db);
  await act(id, 'pause');
  const stop = await db.connect();
  await stop.query('begin');
  await stop.query(`update broadcasts set state = 'stopped' where id = $1`, [id]);
  const resume = act(id, 'resume');
  await one(db, 'select pg_sleep(0.1)::text');
  await stop.query('commit');
  stop.release();
  t.equal((await resume).status, 409);
  t.equal(await stateOf(id), 'stopped');
});

t.test('after 5 seconds it says that it is not settled', async (t) => {
  let time = 0;
  let polls = 0;
  const patient = await testApi(t, {
    clock: {
      now: () => new Date(),
      monotonic: () => time,
      sleep: async (ms) => {
        time += ms;
        polls++;
      },
    },
  });
  const { id: broadcast } = await storedBroadcast(patient.db);
  const callId = await plan(patient.db, { broadcast, state: 'dialing' });
  await attempt(patient.db, callId, { state: 'claimed' });
  const { status, body } = await call(patient, `/v1/broadcasts/${broadcast}/pause`, { method: 'POST' });
  t.equal(status, 200);
  t.same(body, { state: 'paused', settled: false });
  t.equal(polls, 250, 'every 20 ms for 5 s');
});

t.test('a broadcast that there is not', async (t) => {
  for (const action of BROADCAST_ACTIONS)
    t.equal((await act('01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10', action)).status, 404);
  const { id } = await storedBroadcast(db);
  t.equal((await act(id, 'explode')).status, 404);
});
