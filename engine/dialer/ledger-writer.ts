import type { AttemptEnd } from '../domain/ledger.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { IsConnectionError, Ledger } from './interfaces.ts';

/** Facts of many calls share one statement. Short against the pause after an answer, which waits for it. */
const FLUSH_MS = 15;
const RETRY_MS = 200;

export interface LedgerWriter {
  /** Asterisk has the call. */
  placed(attemptId: string): void;
  /** Resolves when the answer is committed: only then may the message start. */
  answered(attemptId: string): Promise<void>;
  ended(end: AttemptEnd): void;
  /** Resolves when all that was handed in until now is committed or has been given up (and logged). */
  flush(): Promise<void>;
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
  { log, isConnectionError }: { log: Log; isConnectionError: IsConnectionError },
): LedgerWriter {
  let waiting = emptyBatch();
  let writing: Promise<void> | undefined;

  const persist = async (what: string, write: () => Promise<void>): Promise<boolean> => {
    for (;;) {
      try {
        await write();
        return true;
      } catch (error) {
        const connection = isConnectionError(error);
        log[connection ? 'warn' : 'error']({ err: toRollcallError(error), what }, 'ledger write failed');
        if (!connection) return false;
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
      await persistAll('ended', batch.ended, (ends) => ledger.endAttempts(ends));
    }
  };
  const schedule = () => {
    writing ??= writeAll().finally(() => {
      writing = undefined;
    });
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
    async flush() {
      while (writing !== undefined) await writing;
    },
  };
}
