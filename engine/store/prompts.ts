import { type Database, inTransaction, one, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';

/** A planned call that has no text yet, and what a template may say to it. */
export interface UnpromptedCall {
  id: string;
  language: string;
  /** Names of the recipients' schools, each once, by name. */
  schools: string[];
  /** First names of the students, by name; empty for a phone that came with the request. */
  students: string[];
  /** The first school's by code, or null: the district's. */
  callback: string | null;
}

/** What a call will say; null: its text could not be made, so it is not placed. */
export type ComposedCall = { id: string; prompt: Prompt | null };

export interface Prompt {
  hash: string;
  language: string;
  text: string;
}

// Locked, so that another preparation of the same broadcast takes the next page.
const PAGE = `
  with page as (
    select id, language from calls
    where broadcast_id = $1 and state = 'planned' and prompt_hash is null
    order by id limit $2 for update skip locked)
  select page.id, page.language,
    array_agg(distinct sites.name) as schools,
    coalesce(array_agg(students.first_name order by students.first_name, students.sis_id)
      filter (where students.id is not null), '{}') as students,
    (array_agg(sites.callback_phone order by sites.code)
      filter (where sites.callback_phone is not null))[1]::text as callback
  from page
  join call_recipients on call_recipients.call_id = page.id
  join sites on sites.id = call_recipients.site_id
  left join students on students.id = call_recipients.student_id
  group by page.id, page.language
  order by page.id`;

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
    state = case when saved.state = 'rendered' then 'ready' else calls.state end
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

const READY = `update calls set state = 'ready' where prompt_hash = $1 and state = 'planned'`;

const FAILED = `update prompts set state = 'failed', error = $2 where hash = $1 and state = 'queued'`;

const NO_AUDIO = `
  update calls set state = 'done', outcome = 'no_audio', finished_at = now()
  where prompt_hash = $1 and state = 'planned'`;

// The five seconds leave the ordinary way the time that it needs.
const UNPREPARED = `
  select id from broadcasts
  where state in ('held', 'running', 'paused') and created_at < now() - interval '5 seconds'
    and (prepared_at is null or exists (
      select from calls where broadcast_id = broadcasts.id and state = 'planned' and prompt_hash is null))
  order by urgency, created_at`;

/**
 * Takes up to `limit` planned calls of the broadcast that have no text, has `compose` make it, stores the
 * distinct prompts and gives each call its own. A call whose prompt is rendered already becomes ready, one
 * without a text is done with `no_audio`. Returns how many calls it took: 0 when none is left.
 */
export async function composePage(
  db: Database,
  broadcastId: string,
  limit: number,
  compose: (call: UnpromptedCall) => ComposedCall,
): Promise<number> {
  return inTransaction(db, async (tx) => {
    const page = await rows<UnpromptedCall>(tx, PAGE, [broadcastId, limit]);
    if (page.length === 0) return 0;
    const prompts = new Map<string, Prompt>();
    const composed: { id: string; hash: string }[] = [];
    const without: string[] = [];
    for (const { id, prompt } of page.map(compose)) {
      if (prompt === null) without.push(id);
      else {
        prompts.set(prompt.hash, prompt);
        composed.push({ id, hash: prompt.hash });
      }
    }
    const distinct = [...prompts.values()];
    await tx.query(SAVE_PAGE, [
      distinct.map(({ hash }) => hash),
      distinct.map(({ language }) => language),
      distinct.map(({ text }) => text),
      composed.map(({ id }) => id),
      composed.map(({ hash }) => hash),
    ]);
    if (without.length > 0) await tx.query(GIVE_UP_CALLS, [without]);
    await wakeDialer(tx);
    return page.length;
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
  await inTransaction(db, async (tx) => {
    await tx.query(RENDERED, [hash, durationMs]);
    // A statement of its own: it has to see the calls of a page that held the prompt's lock until now.
    await tx.query(READY, [hash]);
    await wakeDialer(tx);
  });
}

/** Gives a prompt up, and the calls that waited for it. A later broadcast with the same text tries again. */
export async function promptFailed(db: Database, hash: string, error: string): Promise<void> {
  await inTransaction(db, async (tx) => {
    const { rowCount } = await tx.query(FAILED, [hash, error]);
    if (rowCount === 0) return;
    await tx.query(NO_AUDIO, [hash]);
    await wakeDialer(tx);
  });
}

/** Ids of the broadcasts whose preparation was begun or asked for, and did not come to its end. */
export async function unpreparedBroadcasts(db: Queryable): Promise<string[]> {
  return (await rows<{ id: string }>(db, UNPREPARED)).map(({ id }) => id);
}
