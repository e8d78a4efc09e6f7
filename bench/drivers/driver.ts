import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { prepared, runBroadcast } from '../roster.ts';
import type { Bench } from '../stack.ts';
import type { Target } from './child.ts';

/** Something that places calls at a rate. */
export interface Driver {
  name: string;
  /** Process whose CPU time is its own. */
  pid: number;
  /** Asks for a call to each number, so many a second; resolves when all are over, or after a while. */
  place(numbers: string[], rate: number): Promise<void>;
  stop(): Promise<void>;
}

const SCRIPTS = {
  'bare ARI loop': ['bare-loop.ts'],
  'bare loop by WebSocket': ['bare-loop.ts', 'websocket'],
  'ari-client': ['ari-client.ts'],
  AMI: ['ami.ts'],
  'call files': ['call-files.ts'],
} as const;

/** A driver in a process of its own. */
export async function startDriver(name: keyof typeof SCRIPTS, target: Target): Promise<Driver> {
  const [script, ...further] = SCRIPTS[name];
  const child: ChildProcess = fork(join(import.meta.dirname, script), [JSON.stringify(target), ...further], {
    // ari-client's dependencies warn of their age.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--no-deprecation'],
  });
  const gone = once(child, 'exit');
  const answer = async () => {
    const [first] = await Promise.race([once(child, 'message'), gone.then(() => [undefined])]);
    if (first === undefined) throw new Error(`the driver ${name} ended by itself`);
  };
  await answer();
  return {
    name,
    pid: child.pid ?? 0,
    async place(numbers, rate) {
      child.send({ numbers, rate });
      await answer();
    },
    async stop() {
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}

/**
 * The engine as a driver: a broadcast to the numbers, on a trunk that allows the rate. `headroom` is what its own
 * throttle takes off a rate, so that the same number of calls is offered.
 */
export function engineDriver(bench: Bench, text: string, headroom: number): Driver {
  return {
    name: 'engine',
    pid: bench.pids.engine ?? 0,
    async place(numbers, rate) {
      const id = await prepared(bench, numbers, text);
      await bench.setCaps({ callsPerSecond: Math.min(10_000, rate * headroom) });
      await runBroadcast(bench, id, (numbers.length / rate) * 2_000 + 15_000);
    },
    stop: async () => undefined,
  };
}
