import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CALM, type LinkCommand, type LinkFact, type LinkFaults } from './link.ts';

export interface Link {
  /** UDP port that the trunk points at. */
  readonly port: number;
  /** Puts the link into this state; what is left out is calm. Resolves when it is in force. */
  set(faults: Partial<LinkFaults>): Promise<void>;
  /** All messages since the start, in the order of their ends. */
  facts(): Promise<LinkFact[]>;
  stop(): Promise<void>;
}

export interface LinkOptions {
  port: number;
  carrierPort: number;
  logFile: string;
  /** Not 0. */
  seed: number;
}

/** Starts a link's process; resolves when it relays. */
export async function startLink({ port, carrierPort, logFile, seed }: LinkOptions): Promise<Link> {
  const child = fork(join(import.meta.dirname, 'link.ts'), [port, carrierPort, logFile, seed].map(String));
  await once(child, 'message', { signal: AbortSignal.timeout(10_000) });
  const waiting = new Map<number, () => void>();
  child.on('message', (number) => waiting.get(number as number)?.());
  let last = 0;
  const command = async (faults?: LinkFaults): Promise<void> => {
    const number = ++last;
    const done = new Promise<void>((resolve) => waiting.set(number, resolve));
    const message: LinkCommand = { number, ...(faults !== undefined && { faults }) };
    child.send(message);
    await done;
    waiting.delete(number);
  };
  return {
    port,
    set: (faults) => command({ ...CALM, ...faults }),
    async facts() {
      await command();
      const lines = (await readFile(logFile, 'utf8')).split('\n');
      return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LinkFact);
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}
