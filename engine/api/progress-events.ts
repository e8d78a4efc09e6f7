import type { Clock } from '../clock.ts';
import { isOver } from '../domain/broadcast-state.ts';
import type { Progress } from '../store/calls.ts';
import { isTransient } from '../store/db.ts';

const TICK_MS = 1_000;
const HEARTBEAT_MS = 15_000;
/** A reading takes a tenth of the time at most: counting a million calls takes half a second. */
const PACE = 9;

/**
 * Server-sent events of a broadcast: `progress` when something changed, a comment after 15 s of silence so
 * that proxies keep the connection, and `done` at the end. An estimate that moved is told only instead of the
 * comment: it moves each second, and its reader can count down. Returns when `signal` aborts. A database that
 * cannot be reached is silence, not the end.
 */
export async function* progressEvents(
  first: Progress,
  read: () => Promise<Progress | undefined>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  let sent = '';
  let told = '';
  let sentAt = clock.monotonic();
  let progress: Progress | undefined = first;
  let readingMs = 0;
  while (!signal.aborted) {
    if (progress !== undefined) {
      const data = JSON.stringify(progress);
      const facts = factsOf(progress);
      const over = hasEnded(progress);
      const silent = clock.monotonic() - sentAt >= HEARTBEAT_MS;
      if (over || facts !== told || (silent && data !== sent)) {
        yield `event: ${over ? 'done' : 'progress'}\ndata: ${data}\n\n`;
        sent = data;
        told = facts;
        sentAt = clock.monotonic();
      }
      if (over) return;
    }
    if (clock.monotonic() - sentAt >= HEARTBEAT_MS) {
      yield ': still here\n\n';
      sentAt = clock.monotonic();
    }
    // Only the abort can reject it, and the loop asks for that.
    await clock.sleep(Math.max(TICK_MS, PACE * readingMs), signal).catch(() => {});
    const began = clock.monotonic();
    progress = signal.aborted ? undefined : await readOrNothing(read);
    readingMs = clock.monotonic() - began;
  }
}

async function readOrNothing(read: () => Promise<Progress | undefined>): Promise<Progress | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isTransient(error)) return undefined;
    throw error;
  }
}

/** All but the estimate's value; that there is one counts. */
function factsOf({ secondsLeft, ...rest }: Progress): string {
  return JSON.stringify({ ...rest, known: secondsLeft !== null });
}

/** A stopped broadcast has ended when the calls that were under way have. */
function hasEnded({ state, done, total }: Progress): boolean {
  return state === 'stopped' ? done === total : isOver(state);
}
