import type { AttemptEnd } from '../domain/ledger.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { IsTransient, Ledger } from './interfaces.ts';

/** Facts of many calls share one statement. Short against the pause after an answer, which waits for it. */
const FLUSH_MS = 15;
const RETRY_MS = 200;

export interface LedgerWriter {
  /** Asterisk has the call. */
  placed(attemptId: string): void;
  /** Resolves when the answer is committed: only then may the message start. */
  answered(attemptId: string): Promise<void>;
  ended(end: AttemptEnd): void;
  /**
   * Resolves when nothing waits any more: all is committed, or has been given up and logged. With a limit, also
   * after so many ms; true if nothing was left.
   */
  flush(limitMs?: number): Promise<boolean>;
}

interface Batch {
  placed: string[];
  answered: { attemptId: string; resolve: () => void }[];
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
  const persistAll = async <T>(what: string, items: T[], write: (items: T[]) => Promise<void>) => {
    if (items.length === 0 || (await persist(what, () => write(items)))) return;
    if (items.length > 1) for (const item of items) await persist(what, () => write([item]));
  };

  const writeAll = async (): Promise<void> => {
    // Let the facts of the same moment gather.
    await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    while (waiting.placed.length + waiting.answered.length + waiting.ended.length > 0) {
      const batch = waiting;
      waiting = emptyBatch();
      await persistAll('placed', batch.placed, (ids) => ledger.markPlaced(ids));
      await persistAll('answered', batch.answered, async (answers) => {
        await ledger.markAnswered(answers.map(({ attemptId }) => attemptId));
        for (const { resolve } of answers) resolve();
      });
      await persistAll('ended', firstOfEach(batch.ended), (ends) => ledger.endAttempts(ends));
    }
  };
  const schedule = () => {
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
  };
  const idle = async (): Promise<void> => {
    while (writing !== undefined) await writing;
  };
  return {
    placed(attemptId) {
      waiting.placed.push(attemptId);
      schedule();
    },
    answered: (attemptId) =>
      new Promise((resolve) => {
        waiting.answered.push({ attemptId, resolve });
        schedule();
      }),
    ended(end) {
      waiting.ended.push(end);
      schedule();
    },
    async flush(limitMs) {
      const limit = Promise.withResolvers<void>();
      const timer = limitMs === undefined ? undefined : setTimeout(limit.resolve, limitMs);
      await Promise.race([idle(), limit.promise]);
      clearTimeout(timer);
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
