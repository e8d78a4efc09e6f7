import { setTimeout as sleep } from 'node:timers/promises';

/** What every driver is told about the Asterisk that it drives. */
export interface Target {
  ari: { url: string; user: string; password: string };
  amiPort: number;
  /** Asterisk's spool directory, and who may write there. */
  spoolDir: string;
  owner?: { uid: number; gid: number };
  /** Path of the message without extension. */
  sound: string;
}

export interface Task {
  rate: number;
  numbers: string[];
}

export interface Report {
  /** Calls of which the driver itself knows that the message was played. */
  played: number;
  failed: number;
}

/** After the last call was asked for, how long the others may take. */
const PATIENCE_MS = 15_000;

export const endpointOf = (number: string): string => `PJSIP/${number}@carrier`;
/** As the engine's originates have them. */
export const RING_SECONDS = 35;
export const LIMIT_SECONDS = 90;

export const readTarget = (): Target => JSON.parse(process.argv[2] ?? '{}') as Target;

/**
 * Makes this process a driver: for each task `place` is called at the task's rate, and resolves true when its
 * call's message was played. Ends with the parent.
 */
export function serveDriver(place: (number: string) => Promise<boolean>): void {
  process.on('disconnect', () => process.exit());
  process.on('message', (task: Task) => void work(task, place).then((report) => process.send?.(report)));
  process.send?.('ready');
}

async function work({ rate, numbers }: Task, place: (number: string) => Promise<boolean>): Promise<Report> {
  const report: Report = { played: 0, failed: 0 };
  const began = performance.now();
  const placed: Promise<void>[] = [];
  const one = async (number: string) => {
    const played = await place(number).catch(() => false);
    report[played ? 'played' : 'failed'] += 1;
  };
  while (placed.length < numbers.length) {
    const due = Math.min(numbers.length, Math.floor(((performance.now() - began) / 1000) * rate) + 1);
    while (placed.length < due) placed.push(one(numbers[placed.length] ?? ''));
    await sleep(1);
  }
  await Promise.race([Promise.all(placed), sleep(PATIENCE_MS)]);
  report.failed = numbers.length - report.played;
  return report;
}
