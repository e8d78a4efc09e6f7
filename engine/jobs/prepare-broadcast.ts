import type { MessageVariables } from '../domain/template.ts';
import { isRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Renderer } from '../speech/renderer.ts';
import type { Templates } from '../speech/templates.ts';
import { failBroadcast, planAudience } from '../store/audience.ts';
import { type Broadcast, getBroadcast } from '../store/broadcasts.ts';
import { type Database, inTransaction } from '../store/db.ts';
import { type District, getDistrict } from '../store/district.ts';
import { composePage, type Prompt, type UnpromptedCall } from '../store/prompts.ts';

export interface PrepareDeps {
  db: Database;
  log: Log;
  renderer: Pick<Renderer, 'hashOf'>;
  templates: Pick<Templates, 'has' | 'compose'>;
}

const PAGE_CALLS = 1_000;
/** The template around a broadcast's own words. */
const WRAPPER = 'message';
const FALLBACK_LANGUAGE = 'en';

/**
 * Plans the calls of a broadcast and gives each its text, page by page; `onPage` hears after each page that
 * there may be prompts to render, so the first calls go out while later pages are still composed. May be
 * interrupted anywhere and run again, also twice at once: what is done stays done. A broadcast that can
 * never be prepared becomes `failed`, with the reason.
 */
export async function prepareBroadcast(
  deps: PrepareDeps,
  id: string,
  onPage: () => Promise<void>,
): Promise<void> {
  const { db, log } = deps;
  const broadcast = await getBroadcast(db, id);
  if (broadcast === undefined || !['held', 'running', 'paused'].includes(broadcast.state)) return;
  const district = await getDistrict(db);
  const template = broadcast.template ?? WRAPPER;
  if (district === undefined) return giveUp(deps, id, 'the district is not set up');
  if (!deps.templates.has(template)) return giveUp(deps, id, `there is no template ${template} any more`);

  if (broadcast.preparedAt === null) {
    const started = performance.now();
    try {
      const size = await inTransaction(db, (tx) => planAudience(tx, broadcast, district));
      log.info({ broadcast: id, ...size, ms: Math.round(performance.now() - started) }, 'audience planned');
    } catch (error) {
      if (!isRollcallError(error) || error.retryable) throw error;
      return giveUp(deps, id, error.message);
    }
  }
  let taken: number;
  do {
    const failures: { call: string; err: unknown }[] = [];
    taken = await composePage(db, id, PAGE_CALLS, (call) => {
      try {
        return { id: call.id, prompt: composePrompt(deps, broadcast, district, call) };
      } catch (error) {
        if (!isRollcallError(error)) throw error;
        // One household's data does not fit the template, say: the others are called all the same.
        failures.push({ call: call.id, err: error });
        return { id: call.id, prompt: null };
      }
    });
    const [first] = failures;
    if (first !== undefined)
      log.error(
        { broadcast: id, calls: failures.length, ...first },
        'calls have no text; the first is named',
      );
    if (taken > 0) await onPage();
  } while (taken > 0);
}

async function giveUp({ db, log }: PrepareDeps, id: string, reason: string): Promise<void> {
  await failBroadcast(db, id, reason);
  log.error({ broadcast: id, reason }, 'broadcast cannot be prepared');
}

function composePrompt(
  { renderer, templates }: PrepareDeps,
  broadcast: Broadcast,
  district: District,
  call: UnpromptedCall,
): Prompt {
  const { language, message } = wordsFor(broadcast.message, call.language);
  const variables: MessageVariables = {
    district: district.name,
    schools: call.schools,
    students: call.students,
    date: broadcast.schoolDate,
    callback: call.callback ?? district.callbackPhone,
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
