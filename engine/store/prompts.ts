import { type Database, inTransaction, one, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';

/** What a template may say to a household. Calls to whom the same is said share one. */
export interface Household {
  language: string;
  /** Names of the recipients' schools, each once, by name. */
  schools: string[];
  /** First names of the students, by name; empty for a phone that came with the request, and where nobody asks. */
  students: string[];
  /** The first school's by code, or null: the district's. */
  callback: string | null;
  /** Language and sites: where no student is named, the same hearers hear the same. */
  hearers: string;
}

export interface Prompt {
  hash: string;
  language: string;
  text: string;
}

// Locked, so that another preparation of the same broadcast takes the next page. Where names are not spoken,
// most calls of a page are told the same, and one text serves them.
const PAGE = `
  with page as (
    select id, language from calls
    where broadcast_id = $1 and state = 'planned' and prompt_hash is null
    order by id limit $2 for update skip locked),
  household as (
    select page.id, page.language,
      array_agg(distinct sites.name) as schools,
      coalesce(array_agg(students.first_name order by students.first_name, students.sis_id)
        filter (where students.id is not null), '{}') as students,
      (array_agg(sites.callback_phone order by sites.code)
        filter (where sites.callback_phone is not null))[1]::text as callback,
      page.language || ' ' || string_agg(sites.id::text, ' ' order by sites.code) as hearers
    from page
    join call_recipients on call_recipients.call_id = page.id
    join sites on sites.id = call_recipients.site_id
    left join students on students.id = call_recipients.student_id and $3
    group by page.id, page.language)
  select language, schools, students, callback, hearers, array_agg(id) as ids
  from household group by 1, 2, 3, 4, 5`;

/** A call that is composed and has its audio: held back by its chain, or by its time, or ready. */
const ONCE_RENDERED = `case when calls.chain = 'held' or calls.due_at > now() then 'waiting' else 'ready' end`;

// Touches each prompt also when it is there: its lock makes RENDERED wait, or shows here that it is done, so
// that no call is left behind between the two. In the order of hashes, so that two pages cannot deadlock.
const SAVE_PAGE = `
  with saved as (
    insert into prompts (hash, language, text)
    select hash, language, text from unnest($1::text[], $2::text[], $3::text[]) as new (hash, language, text)
    order by hash
    on conflict (hash) do update set
      state = case when prompts.state = 'failed' then 'queued' else prompts.state end, error = null
    returning hash, state)
  update calls set prompt_hash = saved.hash,
    state = case when saved.state = 'rendered' then ${ONCE_RENDERED} else calls.state end
  from unnest($4::uuid[], $5::text[]) as composed (id, hash) join saved using (hash)
  where calls.id = composed.id and calls.state = 'planned'`;

const GIVE_UP_CALLS = `
  update calls set state = 'done', outcome = 'no_audio', finished_at = now()
  where id = any ($1::uuid[]) and state = 'planned'`;

// Only what a call waits for. Broadcasts that run first, then the most urgent, then the oldest.
const WAITING = `
  select prompt_hash as hash, min(case when broadcasts.state = 'running' then 0 else 1 end) as held,
    min(urgency) as urgency, min(broadcasts.created_at) as created_at
  from calls join broadcasts on broadcasts.id = calls.broadcast_id
  where calls.state = 'planned' and prompt_hash is not null
    and broadcasts.state in ('held', 'running', 'paused')
  group by prompt_hash`;

const QUEUED = `
  select prompts.hash, prompts.language, prompts.text
  from prompts join (${WAITING}) as waiting using (hash)
  where prompts.state = 'queued' and prompts.hash <> all ($1::text[])
  order by held, urgency, waiting.created_at, prompts.created_at, hash limit $2`;

const ANY_QUEUED = `
  select exists (select from prompts join (${WAITING}) as waiting using (hash) where prompts.state = 'queued')
    as queued`;

const RENDERED = `
  update prompts set state = 'rendered', duration_ms = $2, rendered_at = now(), error = null where hash = $1`;

const FAILED = `update prompts set state = 'failed', error = $2 where hash = $1 and state = 'queued'`;

const BATCH = 5_000;

// What became of the prompt becomes of the calls that wait for it.
const RELEASE = `
  with waiting as (
    select calls.id, prompts.state as prompt_state
    from prompts join calls on calls.prompt_hash = prompts.hash and calls.state = 'planned'
    where prompts.hash = $1 and prompts.state <> 'queued'
    limit ${BATCH} for update of calls skip locked)
  update calls set
    state = case when prompt_state = 'failed' then 'done' else ${ONCE_RENDERED} end,
    outcome = case when prompt_state = 'failed' then 'no_audio' else calls.outcome end,
    finished_at = case when prompt_state = 'failed' then now() end
  from waiting where calls.id = waiting.id`;

// Left by a process that died between two batches.
const UNRELEASED = `
  select hash from prompts
  where state <> 'queued' and exists (select from calls where prompt_hash = hash and state = 'planned')
    and hash in (select distinct prompt_hash from calls where state = 'planned')`;

// The five seconds leave the ordinary way the time that it needs.
const UNPREPARED = `
  select id from broadcasts
  where state in ('held', 'running', 'paused') and created_at < now() - interval '5 seconds'
    and (prepared_at is null or exists (
      select from calls where broadcast_id = broadcasts.id and state = 'planned' and prompt_hash is null))
  order by urgency, created_at`;

/**
 * Takes up to `limit` planned calls of the broadcast that have no text, has `compose` make it for each
 * household (null: it cannot be made), stores the distinct prompts and gives each call its own. A call whose
 * prompt is rendered already becomes ready, one without a text is done with `no_audio`. Where `named` is
 * false, no text speaks the students' names. Returns how many calls it took, 0 when none is left, and for how
 * many households it composed.
 */
export async function composePage(
  db: Database,
  broadcastId: string,
  { limit, named }: { limit: number; named: boolean },
  compose: (household: Household) => Prompt | null,
): Promise<{ calls: number; households: number }> {
  return inTransaction(db, async (tx) => {
    const page = await rows<Household & { ids: string[] }>(tx, PAGE, [broadcastId, limit, named]);
    if (page.length === 0) return { calls: 0, households: 0 };
    const prompts = new Map<string, Prompt>();
    const composed: { ids: string[]; hash: string }[] = [];
    const without: string[] = [];
    for (const { ids, ...household } of page) {
      const prompt = compose(household);
      if (prompt === null) without.push(...ids);
      else {
        prompts.set(prompt.hash, prompt);
        composed.push({ ids, hash: prompt.hash });
      }
    }
    const distinct = [...prompts.values()];
    await tx.query(SAVE_PAGE, [
      distinct.map(({ hash }) => hash),
      distinct.map(({ language }) => language),
      distinct.map(({ text }) => text),
      composed.flatMap(({ ids }) => ids),
      composed.flatMap(({ ids, hash }) => ids.map(() => hash)),
    ]);
    if (without.length > 0) await tx.query(GIVE_UP_CALLS, [without]);
    await wakeDialer(tx);
    return { calls: page.reduce((calls, { ids }) => calls + ids.length, 0), households: page.length };
  });
}

/** Up to `limit` prompts that calls wait for, the most urgent first, without those in `except`. */
export async function queuedPrompts(
  db: Queryable,
  limit: number,
  except: readonly string[],
): Promise<Prompt[]> {
  return rows<Prompt>(db, QUEUED, [except, limit]);
}

/** True while a call waits for a prompt that is not rendered. */
export async function anyQueuedPrompt(db: Queryable): Promise<boolean> {
  return (await one<{ queued: boolean }>(db, ANY_QUEUED)).queued;
}

/** Notes that the audio is there, of `durationMs`, and lets the calls that waited for it go. */
export async function promptRendered(db: Database, hash: string, durationMs: number): Promise<void> {
  await db.query(RENDERED, [hash, durationMs]);
  await release(db, hash);
}

/** Gives a prompt up, and the calls that waited for it. A later broadcast with the same text tries again. */
export async function promptFailed(db: Database, hash: string, error: string): Promise<void> {
  await db.query(FAILED, [hash, error]);
  await release(db, hash);
}

/** Lets calls go whose prompt is done and that were left behind; gives how many prompts they waited for. */
export async function releaseLeftBehind(db: Database): Promise<number> {
  const left = await rows<{ hash: string }>(db, UNRELEASED);
  for (const { hash } of left) await release(db, hash);
  return left.length;
}

/**
 * In statements of their own, after the prompt's: they have to see the calls of a page that held the prompt's
 * lock until now. In batches, so that a message to a million lets its first calls go at once.
 */
async function release(db: Database, hash: string): Promise<void> {
  for (;;) {
    const { rowCount } = await db.query(RELEASE, [hash]);
    await wakeDialer(db);
    if ((rowCount ?? 0) < BATCH) return;
  }
}

/** Ids of the broadcasts whose preparation was begun or asked for, and did not come to its end. */
export async function unpreparedBroadcasts(db: Queryable): Promise<string[]> {
  return (await rows<{ id: string }>(db, UNPREPARED)).map(({ id }) => id);
}
