import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Clock, systemClock } from '../../engine/clock.ts';
import type { Audience } from '../../engine/domain/audience.ts';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import type { MessageVariables } from '../../engine/domain/template.ts';
import { RollcallError } from '../../engine/errors.ts';
import { startJobs } from '../../engine/jobs/jobs.ts';
import { prepareBroadcast } from '../../engine/jobs/prepare-broadcast.ts';
import { createPromptRendering } from '../../engine/jobs/render-prompts.ts';
import { createLog } from '../../engine/log.ts';
import { planAudience } from '../../engine/store/audience.ts';
import { type Broadcast, createBroadcast, getBroadcast } from '../../engine/store/broadcasts.ts';
import { one, rows } from '../../engine/store/db.ts';
import { putDistrict, putSite } from '../../engine/store/district.ts';
import { listenForDialer } from '../../engine/store/notify.ts';
import {
  composePage,
  promptRendered,
  queuedPrompts,
  unpreparedBroadcasts,
} from '../../engine/store/prompts.ts';
import { createSchedule } from '../../engine/store/schedules.ts';
import { testDatabase } from '../support/database.ts';

const { db, url } = await testDatabase(t);
const DEADLINE_MS = 20_000;
const PAGE = { limit: 1, named: true };
const log = createLog('silent');
const district = {
  name: 'Ridge',
  zone: 'America/Denver',
  country: 'US',
  callbackPhone: '+13035550100',
  policy: DEFAULT_POLICY,
};

/** Speaks at once; `troubles` are thrown by text, one for each try. */
function fakeRenderer(troubles: Record<string, Error[]> = {}) {
  const rendered: string[] = [];
  const hashOf = ({ text, language }: { text: string; language: string }) =>
    createHash('sha256').update(`${language}\0${text}`).digest('hex');
  return {
    rendered,
    hashOf,
    render: async (speech: { text: string; language: string }) => {
      rendered.push(speech.text);
      const trouble = troubles[speech.text]?.shift();
      if (trouble !== undefined) throw trouble;
      return { hash: hashOf(speech), file: '/dev/null', durationMs: 4_000, cached: false };
    },
  };
}

/** Says what it was given, in English or Spanish; one household's name does not fit. */
const templates = {
  has: (name: string) => name === 'attendance' || name === 'message',
  uses: () => true,
  compose: (
    name: string,
    wanted: string,
    { district, schools, students, date, callback, message }: MessageVariables,
  ) => {
    if (students.includes('Hole')) throw new RollcallError('TEMPLATE_INVALID', 'needs {students}');
    const language = wanted === 'es' ? 'es' : 'en';
    const text = [name, district, schools.join('+'), students.join('+'), date, callback, message].join('|');
    return { language, text };
  },
};

/** Time that passes only by sleeping. */
function fakeClock(): Clock & { slept: number } {
  const clock = {
    slept: 0,
    now: () => new Date('2026-09-14T18:00:00Z'),
    monotonic: () => clock.slept,
    sleep: async (ms: number) => {
      clock.slept += ms;
    },
  };
  return clock;
}

async function roster(
  students: { id: string; site?: string; language?: string; phone?: string }[],
): Promise<void> {
  await db.query('truncate students, broadcasts, prompts, schedules cascade');
  await putDistrict(db, { ...district, policy: {} });
  const site = { level: 'elementary' as const, zone: null, callerId: null };
  await putSite(db, { ...site, code: 'ELM', name: 'Elm', callbackPhone: '+13035550001' });
  await putSite(db, { ...site, code: 'OAK', name: 'Oak', callbackPhone: null });
  for (const { id, site = 'ELM', language = 'en', phone } of students) {
    await db.query(
      `with student as (
         insert into students (sis_id, site_id, first_name, last_name, grade, language)
         select $1, id, $1, 'Last', '5', $3 from sites where code = $2 returning id)
       , absence as (
         insert into absences (student_id, school_date, period, code)
         select id, '2026-09-14', 'all', 'unexcused' from student)
       insert into contact_points (student_id, owner, kind, phone)
       select id, 'home', 'primary', $4::text from student where $4::text is not null`,
      [id, site, language, phone ?? null],
    );
  }
}

async function newBroadcast(
  changes: {
    message?: Record<string, string>;
    template?: string;
    audience?: Audience;
    urgent?: boolean;
  } = {},
): Promise<Broadcast> {
  const { message = null, audience = { kind: 'students' }, urgent = false } = changes;
  const { broadcast } = await createBroadcast(db, {
    title: 'Test',
    category: urgent ? 'emergency' : 'attendance',
    template: message === null ? (changes.template ?? 'attendance') : null,
    message,
    audience,
    schoolDate: '2026-09-14',
    expiresAt: new Date('2126-09-15T06:00:00Z'),
    state: 'running',
    createdBy: 'test',
  });
  return broadcast;
}

const nothing = async () => {};
const prepare = ({ id }: Broadcast, renderer = fakeRenderer(), onPage = nothing) =>
  prepareBroadcast({ db, log, renderer, templates }, id, onPage);
const render = (renderer = fakeRenderer(), clock: Clock = fakeClock()) =>
  createPromptRendering({ db, log, clock, renderer })(new AbortController().signal);

/** Lines such as `+1303… ready en attendance|Ridge|…`, by phone. */
async function calls({ id }: { id: string }): Promise<string[]> {
  const found = await rows<{ line: string }>(
    db,
    `select concat_ws(' ', coalesce(phone, '-'), calls.state, outcome, prompts.language, text) as line
     from calls left join prompts on hash = prompt_hash where broadcast_id = $1 order by phone, line`,
    [id],
  );
  return found.map(({ line }) => line);
}

/** Waits until the dialer would be woken with `done` true; polls nothing. */
async function until(t: Test, done: () => Promise<boolean>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let checking: Promise<void> = Promise.resolve();
  const listener = listenForDialer(
    url,
    () => {
      checking = checking.then(async () => {
        if (await done()) resolve();
      });
    },
    (error) => t.comment(error.message),
  );
  const timeout = new AbortController();
  const late = wait(DEADLINE_MS, undefined, { signal: timeout.signal }).then(() => {
    throw new Error('the deadline is over');
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    timeout.abort();
    await late.catch(() => undefined);
    await listener.end();
    await checking;
  }
}

t.test('each call gets its own text, in its language', async (t) => {
  await roster([
    { id: 'Ann', phone: '+13035551000' },
    { id: 'Bob', site: 'OAK', phone: '+13035551000' },
    { id: 'Eva', site: 'OAK', language: 'es', phone: '+13035552000' },
    { id: 'Hole', phone: '+13035553000' },
    { id: 'Nil' },
  ]);
  const broadcast = await newBroadcast({ audience: { kind: 'absent' } });
  await prepare(broadcast);
  t.same(await calls(broadcast), [
    '+13035551000 planned en attendance|Ridge|Elm+Oak|Ann+Bob|2026-09-14|+13035550001|',
    '+13035552000 planned es attendance|Ridge|Oak|Eva|2026-09-14|+13035550100|',
    '+13035553000 done no_audio',
    '- done no_number',
  ]);
});

t.test("a broadcast's own words, with the words around them in the same language", async (t) => {
  await roster([
    { id: 'Ann', phone: '+13035551000' },
    { id: 'Eva', language: 'es', phone: '+13035552000' },
    { id: 'Lan', language: 'vi', phone: '+13035553000' },
  ]);
  const spoken = async (message: Record<string, string>) => {
    const broadcast = await newBroadcast({ message });
    await prepare(broadcast);
    return (await calls(broadcast)).map((line) => line.replace(/^\S+ planned (\w+) (\w+)\|.*\|/, '$1 $2 '));
  };
  t.same(await spoken({ de: 'Hallo', es: 'Hola', en: 'Hello' }), [
    'en message Hello',
    'es message Hola',
    'en message Hello',
  ]);
  t.same(await spoken({ es: 'Hola' }), ['es message Hola', 'es message Hola', 'es message Hola']);
});

t.test('prepared twice, and twice at once, is prepared once', async (t) => {
  await roster([{ id: 'Ann', phone: '+13035551000' }, { id: 'Eva', phone: '+13035552000' }, { id: 'Nil' }]);
  const broadcast = await newBroadcast();
  await Promise.all([prepare(broadcast), prepare(broadcast)]);
  const once = await calls(broadcast);
  t.equal(once.length, 3);
  await prepare(broadcast);
  t.same(await calls(broadcast), once);
  const renderer = fakeRenderer();
  await render(renderer);
  await prepare(broadcast);
  t.same(await render(renderer), { more: false });
  t.equal(renderer.rendered.length, 2, 'each text is rendered once');
  t.match(await calls(broadcast), [/ ready /, / ready /, /no_number/]);
});

t.test('killed between any two steps, it goes on where it was', async (t) => {
  await roster([
    { id: 'Ann', phone: '+13035551000' },
    { id: 'Eva', phone: '+13035552000' },
    { id: 'Lan', phone: '+13035553000' },
  ]);
  const broadcast = await newBroadcast();
  const old = () =>
    db.query(`update broadcasts set created_at = now() - interval '6 seconds' where id = $1`, [broadcast.id]);
  t.same(await unpreparedBroadcasts(db), [], 'a young one is left to the ordinary way');
  await old();
  t.same(await unpreparedBroadcasts(db), [broadcast.id], 'created and never queued');

  await planAudience(db, broadcast, district);
  t.same(await unpreparedBroadcasts(db), [broadcast.id], 'planned, without texts');

  const { hashOf } = fakeRenderer();
  const text = { language: 'en', text: 'first' };
  await composePage(db, broadcast.id, PAGE, () => ({ hash: hashOf(text), ...text }));
  t.same(await unpreparedBroadcasts(db), [broadcast.id], 'one page of texts');

  await prepare(broadcast);
  t.same(await unpreparedBroadcasts(db), []);
  const queued = await queuedPrompts(db, 10, []);
  t.equal(queued.length, 3);
  const [first] = queued;
  await promptRendered(db, first?.hash ?? '', 4_000);
  t.equal((await calls(broadcast)).filter((line) => line.includes(' ready ')).length, 1, 'goes out at once');
  await render();
  t.equal((await calls(broadcast)).filter((line) => line.includes(' ready ')).length, 3);
});

t.test('a call whose prompt is rendered while its page is composed is not left behind', async (t) => {
  await roster([
    { id: 'Ann', phone: '+13035551000' },
    { id: 'Eva', phone: '+13035552000' },
  ]);
  const broadcast = await newBroadcast();
  await planAudience(db, broadcast, district);
  const prompt = { language: 'en', text: 'same' };
  const { hashOf } = fakeRenderer();
  const compose = () => ({ hash: hashOf(prompt), ...prompt });
  await composePage(db, broadcast.id, PAGE, compose);
  // Both at once: whichever comes first, the second call must be ready in the end.
  await Promise.all([
    promptRendered(db, hashOf(prompt), 4_000),
    composePage(db, broadcast.id, PAGE, compose),
    composePage(db, broadcast.id, PAGE, compose),
  ]);
  t.match(await calls(broadcast), [/ ready /, / ready /]);
});

t.test('the provider fails: again after a pause, three times, and then no call', async (t) => {
  await roster([]);
  const numbers = (phone: string): Audience => ({
    kind: 'numbers',
    site: 'ELM',
    language: 'en',
    phones: [phone],
  });
  const down = () => new RollcallError('SPEECH_FAILED', 'the provider is away');
  const speech = (text: string) => `message|Ridge|Elm||2026-09-14|+13035550001|${text}`;
  const renderer = fakeRenderer({
    [speech('late')]: [down(), down()],
    [speech('never')]: [down(), down(), down(), down()],
    [speech('wrong')]: [new RollcallError('INPUT_INVALID', 'the text has no words')],
  });
  const broadcasts = new Map<string, Broadcast>();
  for (const [index, text] of ['late', 'never', 'wrong', 'good'].entries()) {
    const broadcast = await newBroadcast({ message: { en: text }, audience: numbers(`+1303555900${index}`) });
    await prepare(broadcast, renderer);
    broadcasts.set(text, broadcast);
  }
  const clock = fakeClock();
  t.same(await render(renderer, clock), { more: false });
  const state = async (text: string) => {
    const [line = ''] = await calls(broadcasts.get(text) ?? { id: '' });
    return line.split(' en ')[0]?.slice('+13035559000 '.length);
  };
  t.equal(await state('good'), 'ready');
  t.equal(await state('late'), 'ready');
  t.equal(await state('never'), 'done no_audio');
  t.equal(await state('wrong'), 'done no_audio');
  const tries = (text: string) => renderer.rendered.filter((spoken) => spoken === speech(text)).length;
  t.same([tries('good'), tries('late'), tries('never'), tries('wrong')], [1, 3, 3, 1]);
  t.ok(clock.slept >= 12_000, 'it backed off');

  const again = await newBroadcast({ message: { en: 'wrong' }, audience: numbers('+13035559009') });
  await prepare(again, renderer);
  await render(renderer);
  t.match(await calls(again), [/ ready /], 'a later broadcast tries the text again');
});

t.test('the most urgent prompts come first', async (t) => {
  await roster([]);
  const audience: Audience = { kind: 'numbers', site: 'ELM', language: 'en', phones: ['+13035559000'] };
  await prepare(await newBroadcast({ message: { en: 'daily' }, audience }));
  await prepare(await newBroadcast({ message: { en: 'fire' }, audience, urgent: true }));
  const stopped = await newBroadcast({ message: { en: 'stopped' }, audience });
  await prepare(stopped);
  await db.query(`update broadcasts set state = 'stopped' where id = $1`, [stopped.id]);
  t.same(
    (await queuedPrompts(db, 10, [])).map(({ text }) => text.split('|').at(-1)),
    ['fire', 'daily'],
  );
});

t.test('what can never be prepared fails, and says why', async (t) => {
  await roster([{ id: 'Ann', phone: '+13035551000' }]);
  const noTemplate = await newBroadcast({ template: 'gone' });
  await prepare(noTemplate);
  t.match(await getBroadcast(db, noTemplate.id), {
    state: 'failed',
    reason: /no template gone/,
    finishedAt: Date,
  });
  const phones = ['+13035559000'];
  const noSite = await newBroadcast({ audience: { kind: 'numbers', site: 'GONE', language: 'en', phones } });
  await prepare(noSite);
  t.match(await getBroadcast(db, noSite.id), { state: 'failed', reason: /site/ });
  await db.query('truncate district');
  const noDistrict = await newBroadcast();
  await prepare(noDistrict);
  t.match(await getBroadcast(db, noDistrict.id), { state: 'failed', reason: /district/ });
});

t.test('the whole way on pg-boss', async (t) => {
  const students = Array.from({ length: 40 }, (_, index) => ({
    id: `S${index}`,
    phone: `+1303555${1000 + index}`,
  }));
  await roster(students);
  const lost = await newBroadcast();
  await db.query(`update broadcasts set created_at = now() - interval '6 seconds' where id = $1`, [lost.id]);
  const errors: unknown[] = [];
  const watched = log.child({});
  watched.error = ((fact: unknown) => errors.push(fact)) as typeof log.error;
  const renderer = fakeRenderer();
  const deps = { db, databaseUrl: url, clock: systemClock, log: watched, renderer, templates };
  const ready = (count: number, where: string) => async () =>
    (
      await one<{ count: number }>(
        db,
        `select count(*) from calls join broadcasts on broadcasts.id = broadcast_id
         where calls.state = 'ready' and ${where}`,
      )
    ).count === count;

  let jobs = await startJobs(deps);
  t.teardown(() => jobs.stop());

  await t.test('what a dead process left is found at the start', async (t) => {
    await until(t, ready(40, `broadcasts.id = '${lost.id}'`));
    t.equal(renderer.rendered.length, 40);
  });

  await t.test('a request', async (t) => {
    const broadcast = await newBroadcast({ message: { en: 'Hello' } });
    const started = performance.now();
    await Promise.all([jobs.prepare(broadcast.id), jobs.prepare(broadcast.id)]);
    await until(t, ready(40, `broadcasts.id = '${broadcast.id}'`));
    t.comment(`40 calls ready ${Math.round(performance.now() - started)} ms after the request`);
  });

  await t.test('a schedule fires at its second', async (t) => {
    const at = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 1_000);
    await createSchedule(db, {
      name: 'Attendance',
      rrule: `FREQ=DAILY;BYHOUR=${at.getUTCHours()};BYMINUTE=${at.getUTCMinutes()};BYSECOND=${at.getUTCSeconds()}`,
      zone: 'UTC',
      category: 'attendance',
      template: 'attendance',
      audience: { kind: 'students' },
      validForMinutes: 60,
      enabled: true,
      createdBy: 'test',
      now: new Date(),
    });
    await jobs.scheduleChanged();
    await until(t, ready(40, 'schedule_id is not null'));
    const { late } = await one<{ late: number }>(
      db,
      `select extract(epoch from created_at - occurrence_at)::float8 as late from broadcasts
       where schedule_id is not null`,
    );
    t.comment(`made ${Math.round(late * 1_000)} ms after its time`);
    t.ok(late >= -0.1 && late < 5);
  });

  await t.test('PostgreSQL drops every connection of the queue', async (t) => {
    const broadcast = await newBroadcast({ message: { en: 'After the restart' } });
    const { dropped } = await one<{ dropped: number }>(
      db,
      `select count(pg_terminate_backend(pid)) as dropped from pg_stat_activity
       where application_name = 'rollcall-jobs' and datname = current_database()`,
    );
    t.ok(dropped > 0);
    await jobs.prepare(broadcast.id);
    await until(t, ready(40, `broadcasts.id = '${broadcast.id}'`));
  });

  await t.test('an engine that is started again', async (t) => {
    await jobs.stop();
    const broadcast = await newBroadcast({ message: { en: 'While it was down' } });
    jobs = await startJobs(deps);
    await jobs.prepare(broadcast.id);
    await until(t, ready(40, `broadcasts.id = '${broadcast.id}'`));
  });
  t.same(errors, [], 'nothing failed on the way');
});
