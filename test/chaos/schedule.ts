import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedFault } from './faults.ts';

/** A fault that happened. Times are epoch ms. */
export interface DoneFault {
  fault: PlannedFault;
  from: number;
  until: number;
}

export interface ScheduleOptions {
  /** Carries a fault out, from its start until all is well again. */
  carryOut(fault: PlannedFault): Promise<void>;
  /** Told when a fault begins. */
  onFault(fault: PlannedFault): void;
  signal: AbortSignal;
}

/**
 * Carries a plan out. Faults overlap, but never on the same part; one whose parts are held by another, or are
 * down, is put off, and the next one that can happen goes first.
 *
 * @returns when every fault is over. Rejects with the first error of `carryOut`, after the others are over.
 */
export async function runSchedule(
  plan: readonly PlannedFault[],
  options: ScheduleOptions,
): Promise<DoneFault[]> {
  const waiting = [...plan];
  const held = new Map<string, number>();
  const done: DoneFault[] = [];
  const running = new Set<Promise<void>>();
  let failure: unknown;
  const isFree = ({ holds, needs }: PlannedFault) => [...holds, ...needs].every((part) => !held.has(part));

  const start = (fault: PlannedFault): void => {
    options.onFault(fault);
    for (const part of fault.holds) held.set(part, fault.number);
    const from = Date.now();
    const work = options
      .carryOut(fault)
      .catch((error: unknown) => {
        failure ??= error;
      })
      .then(() => {
        for (const part of fault.holds) held.delete(part);
        done.push({ fault, from, until: Date.now() });
        running.delete(work);
      });
    running.add(work);
  };

  while (waiting.length > 0 && failure === undefined && !options.signal.aborted) {
    const index = waiting.findIndex(isFree);
    if (index < 0) {
      await Promise.race(running);
      continue;
    }
    const [fault] = waiting.splice(index, 1);
    if (fault === undefined) break;
    await sleep(fault.gapMs, undefined, { signal: options.signal }).catch(() => undefined);
    if (!options.signal.aborted) start(fault);
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure;
  return done;
}
