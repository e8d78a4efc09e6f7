import type { MessageVariables } from '../domain/template.ts';
import { isRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Renderer } from '../speech/renderer.ts';
import type { Templates } from '../speech/templates.ts';
import { failBroadcast, planChunk } from '../store/audience.ts';
import { type Broadcast, getBroadcast } from '../store/broadcasts.ts';
import { planCorrection } from '../store/corrections.ts';
import { type Database, inTransaction } from '../store/db.ts';
import { type District, getDistrict } from '../store/district.ts';
import { composePage, type Household, type Prompt } from '../store/prompts.ts';

export interface PrepareDeps {
  db: Database;
  log: Log;
  renderer: Pick<Renderer, 'hashOf'>;
  templates: Pick<Templates, 'has' | 'uses' | 'compose'>;
}

/**
 * Texts per page, so that composing them holds nobody up for long; and calls per page where few texts serve
 * many.
 */
const PAGE_TEXTS = 1_000;
const PAGE_CALLS = 10_000;
/** So many are handed to each chunk at most; the calls of others are composed as ever. */
const MOST_HEARERS = 2_000;
/** The template around a broadcast's own words. */
const WRAPPER = 'message';
const FALLBACK_LANGUAGE = 'en';

/**
 * Plans the calls of a broadcast and gives each its text, page by page; `onPage` hears after each page that
 * there may be prompts to render, so the first calls go out while later pages are still composed. May be
 * interrupted anywhere and run again, also twice at once: what is done stays done. A broadcast that can
 * never be prepared becomes `failed`, with the reason. Returns true when there is more to plan later: a
 * correction, while calls of what it corrects are on the line.
 */
export async function prepareBroadcast(
  deps: PrepareDeps,
  id: string,
  onPage: () => Promise<void>,
): Promise<boolean> {
  const { db, log } = deps;
  const broadcast = await getBroadcast(db, id);
  if (broadcast === undefined || !['held', 'running', 'paused'].includes(broadcast.state)) return false;
  const district = await getDistrict(db);
  const template = broadcast.template ?? WRAPPER;
  if (district === undefined) return giveUp(deps, id, 'the district is not set up');
  if (!deps.templates.has(template)) return giveUp(deps, id, `there is no template ${template} any more`);

  const started = performance.now();
  const named = deps.templates.uses(template, 'students');
  /** What hearers heard, so that the next chunk's need not be composed. Some hundred: languages and schools. */
  const heard = new Map<string, string>();
  let later = false;
  for (let chunk = 1, more = true; more; chunk += 1) {
    try {
      ({ more, later } = await planNext(db, broadcast, district, named ? {} : Object.fromEntries(heard)));
    } catch (error) {
      if (!isRollcallError(error) || error.retryable) throw error;
      return giveUp(deps, id, error.message);
    }
    log.debug(
      { broadcast: id, chunk, ms: Math.round(performance.now() - started) },
      'audience planned so far',
    );
    await composeAll(deps, broadcast, district, { named, onPage, heard });
  }
  log.info({ broadcast: id, ms: Math.round(performance.now() - started), later }, 'audience planned');
  return later;
}

/** `more`: at once; `later`: once calls that are on the line have ended. `prompts`: see planChunk. */
async function planNext(
  db: Database,
  broadcast: Broadcast,
  district: District,
  prompts: Readonly<Record<string, string>>,
): Promise<{ more: boolean; later: boolean }> {
  if (broadcast.audience.kind !== 'reached')
    return { more: await planChunk(db, broadcast, district, prompts), later: false };
  const { more: later } = await inTransaction(db, (tx) => planCorrection(tx, broadcast.id));
  return { more: false, later };
}

/** Gives each planned call its text. */
async function composeAll(
  deps: PrepareDeps,
  broadcast: Broadcast,
  district: District,
  { named, onPage, heard }: { named: boolean; onPage: () => Promise<void>; heard: Map<string, string> },
): Promise<void> {
  const { db, log } = deps;
  const { id } = broadcast;
  let failures = 0;
  const compose = (household: Household): Prompt | null => {
    try {
      const prompt = composePrompt(deps, broadcast, district, household);
      if (!named && heard.size < MOST_HEARERS) heard.set(household.hearers, prompt.hash);
      return prompt;
    } catch (err) {
      if (!isRollcallError(err)) throw err;
      // One household's data does not fit the template, say: the others are called all the same.
      failures += 1;
      if (failures === 1)
        log.error({ broadcast: id, err }, 'a household has no text; only the first is told');
      return null;
    }
  };
  for (let limit = PAGE_TEXTS; ; ) {
    const page = await composePage(db, id, { limit, named }, compose);
    if (page.calls === 0) return;
    await onPage();
    limit = page.households * (PAGE_CALLS / PAGE_TEXTS) <= page.calls ? PAGE_CALLS : PAGE_TEXTS;
  }
}

async function giveUp({ db, log }: PrepareDeps, id: string, reason: string): Promise<false> {
  await failBroadcast(db, id, reason);
  log.error({ broadcast: id, reason }, 'broadcast cannot be prepared');
  return false;
}

function composePrompt(
  { renderer, templates }: PrepareDeps,
  broadcast: Broadcast,
  district: District,
  household: Household,
): Prompt {
  const { language, message } = wordsFor(broadcast.message, household.language);
  const variables: MessageVariables = {
    district: district.name,
    schools: household.schools,
    students: household.students,
    date: broadcast.schoolDate,
    callback: household.callback ?? district.callbackPhone,
    message,
  };
  const spoken = templates.compose(broadcast.template ?? WRAPPER, language, variables);
  return { hash: renderer.hashOf(spoken), ...spoken };
}

/** The broadcast's own text in the language, or else in English, or else in the first that there is. */
function wordsFor(
  texts: Record<string, string> | null,
  language: string,
): { language: string; message: string } {
  if (texts === null) return { language, message: '' };
  const [first = FALLBACK_LANGUAGE] = Object.keys(texts);
  const spoken = [language, FALLBACK_LANGUAGE].find((known) => Object.hasOwn(texts, known)) ?? first;
  // The words around it are in its language, too: one voice reads both.
  return { language: spoken, message: texts[spoken] ?? '' };
}
