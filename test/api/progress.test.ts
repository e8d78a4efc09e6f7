import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { progressEvents } from '../../engine/api/progress-events.ts';
import { broadcastProgress, type Progress } from '../../engine/store/calls.ts';
import { attempt, call, plan, storedBroadcast, testApi } from '../support/api.ts';

const api = await testApi(t);
const { db } = api;
await api.app.listen({ port: 0, host: '127.0.0.1' });
const { port } = api.app.server.address() as { port: number };
const openStream = (id: string, signal?: AbortSignal) =>
  fetch(`http://127.0.0.1:${port}/v1/broadcasts/${id}/events`, {
    headers: { authorization: `Bearer ${api.keys.clerk}` },
    ...(signal && { signal }),
  });
const prepared = async () => {
  const { id } = await storedBroadcast(db);
  await db.query('update broadcasts set prepared_at = now() where id = $1', [id]);
  return id;
};

t.test('progress counts every call once', async (t) => {
  const broadcast = await prepared();
  await plan(db, { broadcast, state: 'planned' });
  await plan(db, { broadcast });
  await plan(db, { broadcast, state: 'waiting', outcome: 'busy' });
  for (const state of ['claimed', 'placed', 'answered'] as const)
    await attempt(db, await plan(db, { broadcast, state: 'dialing' }), { state });
  const done = await plan(db, { broadcast, state: 'done', outcome: 'confirmed' });
  await attempt(db, done, { outcome: 'confirmed' });
  await plan(db, { broadcast, state: 'done', outcome: 'no_number', phone: null });
  await plan(db, { broadcast: await prepared() });

  const { status, body } = await call(api, `/v1/broadcasts/${broadcast}/progress`, { as: 'clerk' });
  t.equal(status, 200);
  t.same(body, {
    state: 'running',
    total: 8,
    planned: 1,
    waiting: 1,
    ready: 1,
    ringing: 2,
    live: 1,
    done: 2,
    callsPerSecond: 4 / 5,
    byOutcome: { confirmed: 1, no_number: 1 },
    secondsLeft: body.secondsLeft,
  });
  t.ok(body.secondsLeft >= 3, '6 calls at 2 a second at most');

  await db.query(`update attempts set claimed_at = now() - interval '6 seconds'`);
  await db.query(`update calls set finished_at = now() - interval '31 seconds' where state = 'done'`);
  t.match((await call(api, `/v1/broadcasts/${broadcast}/progress`)).body, {
    callsPerSecond: 0,
    secondsLeft: null,
  });
});

t.test('the time left follows from the rate of the last 30 seconds', async (t) => {
  const broadcast = await prepared();
  await db.query(`update broadcasts set started_at = now() - interval '5 minutes' where id = $1`, [
    broadcast,
  ]);
  for (let n = 0; n < 15; n++) await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  for (let n = 0; n < 10; n++) await plan(db, { broadcast });
  t.equal((await broadcastProgress(db, broadcast))?.secondsLeft, 20, '10 calls at 15 in 30 s');
  await db.query(`update broadcasts set state = 'paused' where id = $1`, [broadcast]);
  t.equal((await broadcastProgress(db, broadcast))?.secondsLeft, null, 'while paused nobody knows');
  const empty = (await storedBroadcast(db)).id;
  t.equal((await broadcastProgress(db, empty))?.secondsLeft, null, 'nor while it is being prepared');
});

t.test('nor is it over before the last retry is due', async (t) => {
  const broadcast = await prepared();
  await db.query(`update broadcasts set started_at = now() - interval '5 minutes' where id = $1`, [
    broadcast,
  ]);
  for (let n = 0; n < 30; n++) await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  const retry = await plan(db, { broadcast, state: 'waiting', outcome: 'busy' });
  await db.query(`update calls set due_at = now() + interval '15 minutes' where id = $1`, [retry]);
  const left = async () => (await broadcastProgress(db, broadcast))?.secondsLeft ?? 0;
  t.ok((await left()) > 880 && (await left()) <= 900, `${await left()} s, and not the 1 s of the rate`);
  await db.query(`update calls set finished_at = now() - interval '31 seconds' where state = 'done'`);
  t.ok((await left()) > 880, 'also when nothing else is under way');
  await db.query(`update calls set state = 'dialing' where id = $1`, [retry]);
  t.equal((await broadcastProgress(db, broadcast))?.secondsLeft, null, 'a call under way has no such time');
});

t.test('events tell each change, and the end', async (t) => {
  const broadcast = await prepared();
  const id = await plan(db, { broadcast });
  const response = await openStream(broadcast);
  t.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const events: { event: string; data: Progress }[] = [];
  let text = '';
  for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream(),
  )) {
    text += chunk;
    const complete = text.split('\n\n');
    text = complete.pop() ?? '';
    for (const each of complete) {
      const [, event = '', data = ''] = /^event: (\w+)\ndata: (.+)$/.exec(each) ?? [];
      events.push({ event, data: JSON.parse(data) });
    }
    if (events.length === 1) {
      await db.query(
        `update calls set state = 'done', outcome = 'heard', finished_at = now() where id = $1`,
        [id],
      );
      await db.query(`update broadcasts set state = 'done', finished_at = now() where id = $1`, [broadcast]);
    }
  }
  t.same(
    events.map(({ event }) => event),
    ['progress', 'done'],
  );
  t.match(events[0]?.data, { state: 'running', ready: 1, done: 0 });
  t.match(events[1]?.data, { state: 'done', ready: 0, done: 1, byOutcome: { heard: 1 } });
});

t.test('when the client goes, nothing goes on reading', async (t) => {
  const broadcast = await prepared();
  await plan(db, { broadcast });
  const controller = new AbortController();
  const response = await openStream(broadcast, controller.signal);
  await response.body?.getReader().read();
  const real = db.query;
  let reads = 0;
  db.query = function (this: typeof db, ...given: Parameters<typeof real>) {
    reads++;
    return real.apply(this, given);
  } as typeof real;
  t.teardown(() => {
    db.query = real;
  });
  controller.abort();
  // Two ticks: what still ran would read twice.
  await sleep(2_200);
  t.ok(reads <= 1, `${reads} reads`);
});

t.test('closing the API ends the streams', async (t) => {
  const closing = await testApi(t);
  await closing.app.listen({ port: 0, host: '127.0.0.1' });
  const { id } = await storedBroadcast(closing.db);
  const address = closing.app.server.address() as { port: number };
  const response = await fetch(`http://127.0.0.1:${address.port}/v1/broadcasts/${id}/events`, {
    headers: { authorization: `Bearer ${closing.keys.clerk}` },
  });
  const all = response.text();
  const started = performance.now();
  await closing.app.close();
  t.ok(performance.now() - started < 3_000, 'and does not wait for their connections to time out');
  t.match(await all, /^event: progress\n/);
});

t.test('a broadcast that there is not', async (t) => {
  for (const path of ['progress', 'events'])
    t.equal((await call(api, `/v1/broadcasts/01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10/${path}`)).status, 404);
});

const AT_REST: Progress = {
  state: 'running',
  total: 1,
  planned: 0,
  waiting: 0,
  ready: 1,
  ringing: 0,
  live: 0,
  done: 0,
  callsPerSecond: 0,
  byOutcome: {},
  secondsLeft: null,
};

/** Runs the generator on a clock that jumps, and gives the events with the second each came in. */
async function eventsOf(states: (Progress | Error | undefined)[]): Promise<string[]> {
  let time = 0;
  const clock = {
    now: () => new Date(time),
    monotonic: () => time,
    sleep: async (ms: number) => {
      time += ms;
    },
  };
  const controller = new AbortController();
  const read = async () => {
    if (states.length === 0) controller.abort();
    const next = states.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  const found: string[] = [];
  for await (const event of progressEvents(AT_REST, read, clock, controller.signal))
    found.push(`${time / 1000} ${event.split('\n')[0]}`);
  return found;
}

t.test('silence is filled, and a database that is away is silence', async (t) => {
  t.same(await eventsOf(Array.from({ length: 31 }, () => AT_REST)), [
    '0 event: progress',
    '15 : still here',
    '30 : still here',
  ]);
  const away = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  t.same(await eventsOf([away, away, { ...AT_REST, done: 1, ready: 0 }]), [
    '0 event: progress',
    '3 event: progress',
  ]);
  await t.rejects(eventsOf([new Error('a mistake')]), { message: 'a mistake' });
});

t.test('a stopped broadcast is over when its last call is', async (t) => {
  const stopped = { ...AT_REST, state: 'stopped' as const, ready: 0, live: 1 };
  t.same(await eventsOf([stopped, { ...stopped, live: 0, done: 1 }, AT_REST]), [
    '0 event: progress',
    '1 event: progress',
    '2 event: done',
  ]);
});

t.test('a number of seconds alone is no event; its coming and going is', async (t) => {
  const left = (secondsLeft: number | null) => ({ ...AT_REST, secondsLeft });
  t.same(await eventsOf([left(30), left(29), left(28), left(null)]), [
    '0 event: progress',
    '1 event: progress',
    '4 event: progress',
  ]);
  t.same(
    await eventsOf(Array.from({ length: 20 }, (_, second) => left(900 - second))),
    ['0 event: progress', '1 event: progress', '16 event: progress'],
    'and it is told when there is nothing else for 15 s',
  );
});
