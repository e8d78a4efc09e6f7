import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { soundPath } from '../engine/speech/audio-file.ts';
import type { Bench } from './stack.ts';

/** Numbers are used once, so that a cap of calls per phone and day does not show here. */
let used = 0;

/** Numbers of people who answer at once, all different, and different from all handed out before. */
export function people(count: number): string[] {
  return take(count, (index) => index % 70);
}

/** As {@link people}, but of each five one is busy and one lets it ring. */
export function mixedPeople(count: number): string[] {
  return take(count, (index) => [10, 71, 20, 72, 30][index % 5] ?? 0);
}

/** Area codes in the United States; each has 80,000 of our numbers, whose last two digits say what happens. */
const AREAS = [
  ...[
    '303',
    '720',
    '970',
    '719',
    '212',
    '213',
    '312',
    '415',
    '602',
    '617',
    '702',
    '713',
    '801',
    '206',
    '503',
  ],
  ...['305', '404', '512', '313', '215'],
];
const PER_AREA = 80_000;
/** An exchange begins with 2 at least. */
const FIRST = 20_000;

/** Exchanges of services (211, 911), of pay-per-call and of directories: a trunk may not dial them. */
const NO_FAMILY = /^(\d11|976|555)/;

function take(count: number, lastTwo: (index: number) => number): string[] {
  return Array.from({ length: count }, (_, index) => {
    while (NO_FAMILY.test(String(FIRST + (used % PER_AREA)))) used += 1;
    const area = AREAS[Math.floor(used / PER_AREA) % AREAS.length];
    const hundred = FIRST + (used % PER_AREA);
    used += 1;
    return `+1${area}${hundred}${String(lastTwo(index)).padStart(2, '0')}`;
  });
}

const ADD = `
  with pupils as (
    insert into students (sis_id, site_id, first_name, last_name, grade, language)
    select $3 || '-' || number, sites.id, 'A', 'B', $1, 'en'
    from unnest($2::text[]) with ordinality as given (phone, number), sites where sites.code = 'BENCH'
    returning id, sis_id)
  insert into contact_points (student_id, owner, kind, phone)
  select pupils.id, 'home', 'primary', given.phone
  from unnest($2::text[]) with ordinality as given (phone, number)
  join pupils on pupils.sis_id = $3 || '-' || number`;

const PAGE = 50_000;

/** A student for each number, all in one grade, whose name is returned. */
export async function addRoster({ db }: Pick<Bench, 'db'>, phones: readonly string[]): Promise<string> {
  const grade = randomUUID().slice(0, 8);
  for (let at = 0; at < phones.length; at += PAGE)
    await db.query(ADD, [grade, phones.slice(at, at + PAGE), `${grade}-${at}`]);
  return grade;
}

export interface NewBroadcast {
  text: string;
  category?: string;
  /** Runs at once, or waits for `run`. */
  start?: boolean;
}

/** Asks for a broadcast by REST; returns its id. */
export async function askForBroadcast(
  { api }: Pick<Bench, 'api'>,
  audience: { grade: string } | { phones: string[] },
  { text, category = 'general', start = false }: NewBroadcast,
): Promise<string> {
  const { id } = await api.request<{ id: string }>(
    'POST',
    '/v1/broadcasts',
    {
      title: 'Bench',
      category,
      message: { en: text },
      audience:
        'grade' in audience
          ? { kind: 'students', grades: [audience.grade] }
          : { kind: 'numbers', site: 'BENCH', phones: audience.phones },
      start,
    },
    { 'idempotency-key': randomUUID() },
  );
  return id;
}

/** Waits until each call of the broadcast has its audio. */
export async function untilPrepared(
  { db }: Pick<Bench, 'db'>,
  id: string,
  deadlineMs: number,
): Promise<void> {
  const statement = `select prepared_at is not null
    and not exists (select from calls where broadcast_id = $1 and state = 'planned') as ready
    from broadcasts where id = $1`;
  await until('the broadcast is prepared', deadlineMs, async () => {
    const { rows } = await db.query<{ ready: boolean }>(statement, [id]);
    return rows[0]?.ready === true;
  });
}

/** Lets a prepared broadcast go and waits until it is over; true if that was within `deadlineMs`, else it is stopped. */
export async function runBroadcast(
  bench: Pick<Bench, 'api' | 'db'>,
  id: string,
  deadlineMs: number,
): Promise<boolean> {
  await bench.api.request('POST', `/v1/broadcasts/${id}/run`);
  try {
    await untilOver(bench, id, deadlineMs);
    return true;
  } catch {
    await bench.api.request('POST', `/v1/broadcasts/${id}/stop`);
    return false;
  }
}

/** Waits until every call of the broadcast has its final outcome. */
export function untilOver({ db }: Pick<Bench, 'db'>, id: string, deadlineMs: number): Promise<void> {
  return until('the broadcast is over', deadlineMs, async () => {
    const { rows } = await db.query<{ over: boolean }>(
      'select finished_at is not null as over from broadcasts where id = $1',
      [id],
    );
    return rows[0]?.over === true;
  });
}

/** A prepared broadcast to these numbers, not yet running. */
export async function prepared(
  bench: Pick<Bench, 'api' | 'db'>,
  phones: string[],
  text: string,
): Promise<string> {
  const id = await askForBroadcast(bench, { grade: await addRoster(bench, phones) }, { text });
  await untilPrepared(bench, id, 300_000);
  return id;
}

/** How many calls of a broadcast ended how. */
export async function outcomesOf({ db }: Pick<Bench, 'db'>, id: string): Promise<Record<string, number>> {
  const { rows } = await db.query<{ outcome: string; calls: number }>(
    'select coalesce(outcome, state) as outcome, count(*)::int as calls from calls where broadcast_id = $1 group by 1',
    [id],
  );
  return Object.fromEntries(rows.map(({ outcome, calls }) => [outcome, calls]));
}

/** Length of the message's audio, in ms. */
export async function messageMsOf({ db }: Pick<Bench, 'db'>, id: string): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    `select duration_ms as ms from prompts where hash = (
      select prompt_hash from calls where broadcast_id = $1 and prompt_hash is not null limit 1)`,
    [id],
  );
  return rows[0]?.ms ?? Number.NaN;
}

/** Path of the message's audio as Asterisk takes it, without extension. */
export async function soundOf(bench: Pick<Bench, 'db' | 'soundsDir'>, id: string): Promise<string> {
  const { rows } = await bench.db.query<{ hash: string }>(
    'select prompt_hash as hash from calls where broadcast_id = $1 and prompt_hash is not null limit 1',
    [id],
  );
  return soundPath(bench.soundsDir, rows[0]?.hash ?? '');
}

/** Asks every 100 ms; throws when `deadlineMs` passes first. */
export async function until(what: string, deadlineMs: number, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs / 1000} s: ${what}`);
    await sleep(100);
  }
}
