import type { AttemptEnd, AttemptRef } from '../domain/ledger.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { IsTransient, Ledger } from './interfaces.ts';

/**
 * Facts of many calls share one statement and one commit: at 50 calls a second, 15 ms for all of them cost
 * PostgreSQL three times as much. An answer is short of the pause before the message, which waits for it; the
 * others are short of a stop, whose reply does.
 */
const ANSWERED_WAIT_MS = 80;
const WAIT_MS = 200;
/** A call that another trunk is to take. */
const REROUTE_WAIT_MS = 20;
const RETRY_MS = 200;
/** What PostgreSQL refuses for a reason that does not pass by itself is tried again so much later. */
const REFUSED_WAIT_MS = 5_000;

export interface LedgerWriter {
  /** Asterisk has the call. */
  placed(attempt: AttemptRef): void;
  /** Resolves when the answer is committed: only then may the message start. */
  answered(attempt: AttemptRef): Promise<void>;
  ended(end: AttemptEnd): void;
  /**
   * Resolves when nothing waits any more: all is committed, or has been given up and logged. With a limit, also
   * after so many ms; true if nothing was left.
   */
  flush(limitMs?: number): Promise<boolean>;
}

interface Batch {
  placed: AttemptRef[];
  answered: { attempt: AttemptRef; resolve: () => void }[];
  ended: AttemptEnd[];
}

const emptyBatch = (): Batch => ({ placed: [], answered: [], ended: [] });

/**
 * Writes what happened to the ledger in batches, in the order placed, answered, ended. While Postgres is
 * away the facts wait in memory, in order, and are tried again: nothing is lost but by our own death, and
 * then reconciliation finds the open attempts.
 */
export function createLedgerWriter(
  ledger: Ledger,
  { log, isTransient }: { log: Log; isTransient: IsTransient },
): LedgerWriter {
  let waiting = emptyBatch();
  let writing: Promise<void> | undefined;
  /** How many wait for all to be written. */
  let flushing = 0;
  /** While facts gather: writes them after so long. */
  let hurry: ((ms: number) => void) | undefined;

  const persist = async (what: string, write: () => Promise<void>): Promise<boolean> => {
    for (;;) {
      try {
        await write();
        return true;
      } catch (error) {
        const transient = isTransient(error);
        log[transient ? 'warn' : 'error']({ err: toRollcallError(error), what }, 'ledger write failed');
        if (!transient) return false;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  /** One statement for all; if that is refused, one each, so that a single bad row takes no other with it. */
  const persistAll = async <T>(
    what: string,
    items: T[],
    write: (items: T[]) => Promise<void>,
    onRefused: (item: T) => void = () => undefined,
  ) => {
    if (items.length === 0 || (await persist(what, () => write(items)))) return;
    for (const item of items)
      if (items.length === 1 || !(await persist(what, () => write([item])))) onRefused(item);
  };

  const writeAll = async (): Promise<void> => {
    while (waiting.placed.length + waiting.answered.length + waiting.ended.length > 0) {
      if (flushing === 0) await gather();
      const batch = waiting;
      waiting = emptyBatch();
      await persistAll('placed', batch.placed, (attempts) => ledger.markPlaced(attempts));
      await persistAll('answered', batch.answered, async (answers) => {
        const ours = new Set(await ledger.markAnswered(answers.map(({ attempt }) => attempt)));
        // Of another owner's calls no message of ours may start.
        for (const { attempt, resolve } of answers) if (ours.has(attempt.attemptId)) resolve();
      });
      await persistAll(
        'ended',
        firstOfEach(batch.ended),
        (ends) => ledger.endAttempts(ends),
        // What became of a call may not be lost: who finds it open would call again.
        (end) => setTimeout(() => addEnd(end), REFUSED_WAIT_MS).unref(),
      );
    }
  };
  const patience = (): number => {
    if (waiting.ended.some(({ reroute }) => reroute)) return REROUTE_WAIT_MS;
    return waiting.answered.length > 0 ? ANSWERED_WAIT_MS : WAIT_MS;
  };
  /** Until it is time to write: sooner once an answer is among them, and at once when somebody waits for all. */
  const gather = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let timer = setTimeout(resolve, patience());
    hurry = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(resolve, ms);
    };
    return promise.finally(() => {
      hurry = undefined;
    });
  };
  const schedule = () => {
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
  };
  const idle = async (): Promise<void> => {
    while (writing !== undefined) await writing;
  };
  const addEnd = (end: AttemptEnd): void => {
    waiting.ended.push(end);
    if (end.reroute) hurry?.(REROUTE_WAIT_MS);
    schedule();
  };
  return {
    placed(attempt) {
      waiting.placed.push(attempt);
      schedule();
    },
    answered: (attempt) =>
      new Promise((resolve) => {
        if (waiting.answered.length === 0) hurry?.(ANSWERED_WAIT_MS);
        waiting.answered.push({ attempt, resolve });
        schedule();
      }),
    ended: addEnd,
    async flush(limitMs) {
      flushing += 1;
      hurry?.(0);
      const limit = Promise.withResolvers<void>();
      const timer = limitMs === undefined ? undefined : setTimeout(limit.resolve, limitMs);
      await Promise.race([idle(), limit.promise]);
      clearTimeout(timer);
      flushing -= 1;
      return writing === undefined;
    },
  };
}

/** An attempt ends once: of two ends in one statement PostgreSQL would take either. */
function firstOfEach(ends: AttemptEnd[]): AttemptEnd[] {
  const seen = new Map<string, AttemptEnd>();
  for (const end of ends) if (!seen.has(end.attemptId)) seen.set(end.attemptId, end);
  return [...seen.values()];
}
