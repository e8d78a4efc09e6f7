/** The API in one process and the jobs in another, which meet only in PostgreSQL. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { maybeOne, one } from '../../engine/store/db.ts';
import { putDistrict, putSite } from '../../engine/store/district.ts';
import { createKey } from '../../engine/store/keys.ts';
import { createSchedule } from '../../engine/store/schedules.ts';
import { freePorts } from '../../local/ports.ts';
import { BROADCAST, plan, storedBroadcast } from '../support/api.ts';
import { testDatabase } from '../support/database.ts';

// Far less than the minute of the jobs' own tick.
const DEADLINE_MS = 15_000;
const { db, url } = await testDatabase(t);
const sounds = await mkdtemp(join(tmpdir(), 'rollcall-roles-'));
t.teardown(() => rm(sounds, { recursive: true, force: true }));
const [port, jobsPort] = await freePorts(2);
const base = `http://127.0.0.1:${port}`;

/** Resolves when `check` gives something. */
async function until<T>(what: string, check: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await sleep(50);
  }
}

function start(roles: string): ChildProcess {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, '../../engine/main.ts')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ROLES: roles,
      DATABASE_URL: url,
      HTTP_PORT: String(roles === 'api' ? port : jobsPort),
      // Of no use without the dialer, and not asked.
      ARI_URL: 'http://127.0.0.1:1',
      ARI_USER: 'none',
      ARI_PASSWORD: 'none-none-none',
      SOUNDS_DIR: sounds,
    },
  });
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, 'exit');
  });
  return child;
}

await putDistrict(db, { name: 'D', zone: 'UTC', country: 'US', callbackPhone: null, policy: {} });
await putSite(db, {
  code: 'LINC',
  name: 'Lincoln',
  level: 'other',
  zone: null,
  callbackPhone: null,
  callerId: null,
});
const { key } = await createKey(db, { name: 'a test', role: 'administrator' });
const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };

const processes = [start('api'), start('jobs')];
await until('the API answers', async () =>
  (await fetch(`${base}/readyz`).catch(() => undefined))?.ok ? true : undefined,
);
await until('the jobs listen', () =>
  maybeOne(
    db,
    `select pid from pg_stat_activity
     where datname = current_database() and query = 'listen rollcall_jobs' and state = 'idle'`,
    [],
  ),
);

t.test('a broadcast is prepared at once', async (t) => {
  const response = await fetch(`${base}/v1/broadcasts`, {
    method: 'POST',
    headers: { ...headers, 'idempotency-key': 'one' },
    body: JSON.stringify(BROADCAST),
  });
  t.equal(response.status, 201);
  const { id } = (await response.json()) as { id: string };
  const { ms } = await until('it is prepared', () =>
    maybeOne<{ ms: number }>(
      db,
      `select extract(epoch from prepared_at - created_at)::float8 * 1000 as ms
       from broadcasts where id = $1 and prepared_at is not null`,
      [id],
    ),
  );
  t.comment(`prepared ${Math.round(ms)} ms after it was made`);
  t.ok(ms < 5_000);
});

t.test('a schedule that was changed is woken for', async (t) => {
  const at = new Date(Date.now() + 3_600_000);
  const schedule = await createSchedule(db, {
    name: 'Attendance',
    rrule: 'FREQ=DAILY;BYHOUR=0;BYMINUTE=0',
    zone: 'UTC',
    category: 'attendance',
    template: 'attendance',
    audience: { kind: 'students' },
    validForMinutes: 60,
    enabled: true,
    createdBy: 'test',
    now: at,
  });
  const soon = new Date(Date.now() + 4_000);
  const response = await fetch(`${base}/v1/schedules/${schedule.id}`, {
    method: 'PATCH',
    headers,
    body: JSON.stringify({
      rrule: `FREQ=DAILY;BYHOUR=${soon.getUTCHours()};BYMINUTE=${soon.getUTCMinutes()};BYSECOND=${soon.getUTCSeconds()}`,
    }),
  });
  t.equal(response.status, 200, await response.text());
  const { late } = await until('its broadcast is made', () =>
    maybeOne<{ late: number }>(
      db,
      `select extract(epoch from created_at - occurrence_at)::float8 as late from broadcasts
       where schedule_id = $1`,
      [schedule.id],
    ),
  );
  t.ok(late < 5, `${late} s late`);
});

t.test('its metrics have the calls', async (t) => {
  const { id: broadcast } = await storedBroadcast(db, { category: 'survey' });
  await plan(db, { broadcast, state: 'done', outcome: 'heard' });
  const text = await (await fetch(`${base}/metrics`)).text();
  t.match(text, /^rollcall_calls\{category="survey",outcome="heard"\} 1$/m);
  t.match(text, /^rollcall_queue_calls\{category="general",state="planned"\} 0$/m);
});

t.test('a process without the API says whether it is ready, and nothing else', async (t) => {
  const other = `http://127.0.0.1:${jobsPort}`;
  t.equal((await fetch(`${other}/readyz`)).status, 200);
  t.match(await (await fetch(`${other}/metrics`)).text(), /^rollcall_process_cpu/m);
  t.equal((await fetch(`${other}/v1/broadcasts`, { headers })).status, 404);
});

t.test('both stop in order', async (t) => {
  for (const child of processes) {
    child.kill('SIGTERM');
    const [status] = await once(child, 'exit');
    t.equal(status, 0);
  }
  const { left } = await one<{ left: number }>(
    db,
    `select count(*) as left from pg_stat_activity
     where datname = current_database() and application_name = 'rollcall-listen'`,
  );
  t.equal(left, 0);
});
