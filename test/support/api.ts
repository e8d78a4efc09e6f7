import type { Readable } from 'node:stream';
import { Registry } from 'prom-client';
import type { Test } from 'tap';
import { createApi } from '../../engine/api/create-api.ts';
import type { Api, ApiDeps, ImportResult } from '../../engine/api/deps.ts';
import { systemClock } from '../../engine/clock.ts';
import { type HeardLevel, type Outcome, ROLES, type Role } from '../../engine/domain/terms.ts';
import { createLog } from '../../engine/log.ts';
import { createSecrets } from '../../engine/secrets.ts';
import { type Broadcast, createBroadcast, type NewBroadcast } from '../../engine/store/broadcasts.ts';
import { type Database, one } from '../../engine/store/db.ts';
import { putDistrict, putSite } from '../../engine/store/district.ts';
import { createKey } from '../../engine/store/keys.ts';
import { testDatabase } from './database.ts';

/** What the API asked others to do. */
export interface Triggered {
  created: string[];
  scheduleChanges: number;
  imported: { kind: string; fileName: string; bytes: number; createdBy: string; country: string }[];
}

export interface ApiUnderTest {
  app: Api;
  db: Database;
  url: string;
  /** A living key of each role. */
  keys: Record<Role, string>;
  triggered: Triggered;
  /** Lines of the log, parsed. */
  logged: Record<string, unknown>[];
}

/** Opens the secrets that the API under test sealed. */
export const TEST_KEY = Buffer.alloc(32, 7);

export const TEMPLATES = ['attendance', 'threshold'];

/** The API on a database of its own, with a district, two sites and a key of each role. */
export async function testApi(t: Test, overrides: Partial<ApiDeps> = {}): Promise<ApiUnderTest> {
  const { db, url } = await testDatabase(t);
  const triggered: Triggered = { created: [], scheduleChanges: 0, imported: [] };
  const logged: Record<string, unknown>[] = [];
  const app = await createApi({
    db,
    log: createLog('info', { write: (line) => void logged.push(JSON.parse(line)) }),
    clock: systemClock,
    registry: new Registry(),
    importLimitBytes: 64 * 1024,
    templates: {
      has: (name) => TEMPLATES.includes(name),
      names: () => TEMPLATES,
      compose: (_name, language, { district, message }) => ({
        language,
        text: `This is ${district}. ${message}`,
      }),
    },
    importFile: async ({ kind, fileName, stream, createdBy, country }): Promise<ImportResult> => {
      let bytes = 0;
      for await (const chunk of stream) bytes += (chunk as Buffer).length;
      triggered.imported.push({ kind, fileName, bytes, createdBy, country });
      const id = '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10';
      return { id, kind, fileName, added: 1, changed: 0, unchanged: 0, rejected: 0, rejections: [] };
    },
    sealSecret: createSecrets(TEST_KEY).seal,
    broadcastCreated: async (id) => void triggered.created.push(id),
    scheduleChanged: async () => void triggered.scheduleChanges++,
    readiness: async () => ({ database: true, asterisk: true }),
    ...overrides,
  });
  // Before the database's own teardown, which would wait for connections that a request still holds.
  t.teardown(() => app.close());
  await setUpDistrict(db);
  const keys = {} as Record<Role, string>;
  for (const role of ROLES) keys[role] = (await createKey(db, { name: `the ${role}`, role })).key;
  return { app, db, url, keys, triggered, logged };
}

async function setUpDistrict(db: Database): Promise<void> {
  await putDistrict(db, {
    name: 'Test District',
    zone: 'America/Denver',
    country: 'US',
    callbackPhone: null,
    policy: {},
  });
  for (const [code, name] of [
    ['LINC', 'Lincoln Elementary'],
    ['ROOS', 'Roosevelt High'],
  ] as const)
    await putSite(db, { code, name, level: 'other', zone: null, callbackPhone: null, callerId: null });
}

export interface Call {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A role's key is sent; null sends none. */
  as?: Role | null;
  body?: unknown;
  headers?: Record<string, string>;
}

/** One request by injection; the body is parsed when it is JSON. */
export async function call({ app, keys }: ApiUnderTest, path: string, options: Call = {}) {
  const { method = 'GET', as = 'administrator', body, headers = {} } = options;
  const response = await app.inject({
    method,
    url: path,
    headers: { ...(as !== null && { authorization: `Bearer ${keys[as]}` }), ...headers },
    ...(body !== undefined && { payload: body as object | string | Buffer | Readable }),
  });
  const json = /json/.test(String(response.headers['content-type'])) ? response.json() : undefined;
  return { status: response.statusCode, headers: response.headers, body: json, text: response.body };
}

/** Sends a broadcast; `key` is the Idempotency-Key. */
export async function send(
  api: ApiUnderTest,
  body: object,
  key: string = crypto.randomUUID(),
  as: Role = 'sender',
) {
  return call(api, '/v1/broadcasts', { method: 'POST', as, body, headers: { 'idempotency-key': key } });
}

/** A body that is accepted. */
export const BROADCAST = {
  title: 'Snow day',
  category: 'schools_out',
  message: { en: 'Schools are closed today.', es: 'Las escuelas están cerradas hoy.' },
  audience: { kind: 'numbers', site: 'LINC', phones: ['(303) 555-0142'] },
};

export interface Planned {
  broadcast: string;
  phone?: string | null;
  state?: 'planned' | 'waiting' | 'ready' | 'dialing' | 'done';
  outcome?: Outcome | null;
  heard?: HeardLevel;
  heardMs?: number;
  /** Site codes; each gets a recipient without a student. */
  sites?: string[];
  /** SIS ids of students, who are made when they do not exist. */
  students?: { sisId: string; site: string; firstName?: string; lastName?: string }[];
}

let phones = 0;

/** Puts a call and those for whom it is into the ledger, as the audience's preparation does. */
export async function plan(db: Database, planned: Planned): Promise<string> {
  const { broadcast, state = 'ready', outcome = null, heard = 'none', heardMs = 0 } = planned;
  const phone = planned.phone === undefined ? `+1303${String(5550000 + ++phones)}` : planned.phone;
  await db.query(
    `insert into prompts (hash, language, text, state, duration_ms) values ($1, 'en', 'Hello', 'rendered', 12000)
     on conflict do nothing`,
    [PROMPT],
  );
  const { id } = await one<{ id: string }>(
    db,
    `insert into calls (broadcast_id, phone, language, zone, prompt_hash, state, outcome, heard, heard_ms, finished_at)
     values ($1, $2, 'en', 'America/Denver', $3, $4::text, $5, $6, $7, case when $4::text = 'done' then now() end)
     returning id`,
    [broadcast, phone, PROMPT, state, outcome, heard, heardMs],
  );
  for (const site of planned.sites ?? [])
    await db.query(
      `insert into call_recipients (call_id, site_id) select $1, id from sites where code = $2`,
      [id, site],
    );
  for (const { sisId, site, firstName = 'Ana', lastName = 'Diaz' } of planned.students ?? [])
    await db.query(
      `with student as (
         insert into students (sis_id, site_id, first_name, last_name, grade, language)
         select $2, id, $4, $5, '3', 'en' from sites where code = $3
         on conflict (sis_id) do update set grade = students.grade
         returning id, site_id)
       insert into call_recipients (call_id, site_id, student_id) select $1, site_id, id from student`,
      [id, sisId, site, firstName, lastName],
    );
  return id;
}

/** SHA-256 of the prompt that {@link plan} makes. */
export const PROMPT = 'a'.repeat(64);

export interface Tried {
  state?: 'claimed' | 'placed' | 'answered' | 'ended';
  outcome?: Outcome | null;
  sipCode?: number | null;
  interrupted?: boolean;
  number?: number;
}

/** Puts an attempt into the ledger. */
export async function attempt(db: Database, callId: string, tried: Tried = {}): Promise<string> {
  const { state = 'ended', sipCode = null, interrupted = false, number = 1 } = tried;
  const outcome = tried.outcome ?? (state === 'ended' ? 'busy' : null);
  await db.query(
    `insert into trunks (name, host, max_channels, calls_per_second) values ('sim', '127.0.0.1', 10, 5)
     on conflict do nothing`,
  );
  const { id } = await one<{ id: string }>(
    db,
    `insert into attempts (call_id, trunk_id, node, number, state, deadline_at, ended_at, outcome, sip_code,
       interrupted, message_ms)
     select $1, id, 'asterisk-1', $2, $3::text, now() + interval '1 minute',
       case when $3::text = 'ended' then now() end, $4, $5, $6, 12000
     from trunks where name = 'sim' returning id`,
    [callId, number, state, outcome, sipCode, interrupted],
  );
  return id;
}

/** A broadcast that is in the database and that no dialer works on. */
export async function storedBroadcast(db: Database, given: Partial<NewBroadcast> = {}): Promise<Broadcast> {
  const { broadcast } = await createBroadcast(db, {
    title: 'Snow day',
    category: 'schools_out',
    template: null,
    message: { en: 'Schools are closed today.' },
    audience: { kind: 'students' },
    schoolDate: '2026-09-14',
    expiresAt: new Date(Date.now() + 3_600_000),
    state: 'running',
    createdBy: 'a test',
    ...given,
  });
  return broadcast;
}
