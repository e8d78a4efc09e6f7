import type { Clock } from '../clock.ts';
import { isRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Renderer } from '../speech/renderer.ts';
import type { Database } from '../store/db.ts';
import { type Prompt, promptFailed, promptRendered, queuedPrompts } from '../store/prompts.ts';

export interface RenderDeps {
  db: Database;
  clock: Clock;
  log: Log;
  renderer: Pick<Renderer, 'render'>;
}

/** Small, since between two batches a more urgent broadcast may come in. */
const BATCH = 32;
/** At once; each is a process or a request of its own. */
const CONCURRENCY = 4;
/** Pauses before the second and the third try; after that the prompt has failed. */
const BACKOFF_MS = [2_000, 10_000];
/** A job is short: after this the rest is the next one's. */
const JOB_MS = 20_000;

interface Trouble {
  tries: number;
  /** Monotonic milliseconds. */
  notBefore: number;
}

/**
 * Makes the renderer of what is queued. Each run renders until nothing is left, its time is over, or
 * `signal` aborts, and says whether there is more. Each call is released with its own prompt. Tries are
 * counted in memory: after a restart a prompt gets them anew.
 */
export function createPromptRendering(deps: RenderDeps): (signal: AbortSignal) => Promise<{ more: boolean }> {
  const { db, clock } = deps;
  const troubled = new Map<string, Trouble>();

  return async (signal) => {
    const until = clock.monotonic() + JOB_MS;
    while (!signal.aborted && clock.monotonic() < until) {
      const waiting = [...troubled].filter(([, { notBefore }]) => notBefore > clock.monotonic());
      const batch = await queuedPrompts(
        db,
        BATCH,
        waiting.map(([hash]) => hash),
      );
      if (batch.length > 0) await renderAll(batch, signal);
      else if (waiting.length === 0) return { more: false };
      else await clock.sleep(pauseOf(waiting), signal).catch(() => undefined);
    }
    return { more: true };
  };

  function pauseOf(waiting: readonly [string, Trouble][]): number {
    const first = Math.min(...waiting.map(([, { notBefore }]) => notBefore));
    // At most a second: meanwhile others may be queued.
    return Math.min(1_000, Math.max(1, first - clock.monotonic()));
  }

  async function renderAll(batch: readonly Prompt[], signal: AbortSignal): Promise<void> {
    const rest = batch.values();
    const worker = async () => {
      for (const prompt of rest) {
        if (signal.aborted) return;
        await renderOne(prompt, signal);
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker));
    for (const result of workers) if (result.status === 'rejected') throw result.reason;
  }

  async function renderOne({ hash, language, text }: Prompt, signal: AbortSignal): Promise<void> {
    const result = await tryRender({ hash, language, text });
    if (result.ok) {
      await promptRendered(db, hash, result.durationMs);
      troubled.delete(hash);
      return;
    }
    // A render that the shutdown cut off says nothing about the prompt.
    if (signal.aborted) return;
    const tries = (troubled.get(hash)?.tries ?? 0) + 1;
    const pause = BACKOFF_MS[tries - 1];
    if (!result.retryable || pause === undefined) {
      await promptFailed(db, hash, result.error);
      troubled.delete(hash);
      deps.log.error({ prompt: hash, tries, error: result.error }, 'prompt cannot be rendered');
    } else {
      troubled.set(hash, { tries, notBefore: clock.monotonic() + pause });
      deps.log.warn({ prompt: hash, tries, error: result.error }, 'prompt not rendered, will be tried again');
    }
  }

  async function tryRender({ hash, language, text }: Prompt): Promise<RenderResult> {
    try {
      const rendered = await deps.renderer.render({ language, text });
      if (rendered.hash === hash) return { ok: true, durationMs: rendered.durationMs };
      // Under the name that the call has there would be nothing to play.
      return { ok: false, retryable: false, error: 'the voice was changed after the prompt was queued' };
    } catch (error) {
      const retryable = !isRollcallError(error) || error.retryable;
      return { ok: false, retryable, error: error instanceof Error ? error.message : String(error) };
    }
  }
}

type RenderResult = { ok: true; durationMs: number } | { ok: false; retryable: boolean; error: string };
