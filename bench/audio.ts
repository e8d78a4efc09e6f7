import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../local/ports.ts';
import { startRtpReceiver } from './carrier/rtp-receiver.ts';
import type { Context, Figure, Figures } from './figure.ts';
import { reportGaps } from './measure/gaps.ts';
import { measureCpu } from './measure/processes.ts';
import { round } from './measure/stats.ts';
import { people, prepared, runBroadcast } from './roster.ts';
import { startBench } from './stack.ts';

const RATE = 50;
const SENTENCE = 'This is a message from your school district about the closing of all schools tomorrow. ';
const GOAL_MS = 40;

/** Figure 5: the audio of many calls at once, as the carrier gets it. */
export const audio: Figure = { name: 'audio', title: 'Concurrent audio', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  // Some 4.5 s each: it has to go on well after the last call was answered.
  const sentences = quick ? 4 : 8;
  const few = await hear(join(dir, 'few'), 50, sentences, say);
  const many = await hear(join(dir, 'many'), 500, sentences, say);
  const ms = (value: number) => round(value, 1);
  return {
    rows: [
      {
        what: '500 calls, 99th percentile of gaps',
        value: ms(many.gaps.p99),
        unit: 'ms',
        baseline: { what: '50 calls', value: ms(few.gaps.p99) },
        goal: { at: 'most', value: GOAL_MS },
      },
      {
        what: '500 calls, largest gap',
        value: ms(many.gaps.max),
        unit: 'ms',
        baseline: { what: '50 calls', value: ms(few.gaps.max) },
      },
      {
        what: '500 calls, packets lost',
        value: many.gaps.lost,
        unit: `of ${many.gaps.packets}`,
        baseline: { what: '50 calls', value: few.gaps.lost },
      },
    ],
    notes: [
      `between packets of one stream (20 ms of audio each), all streams, while all calls are up; median ${ms(many.gaps.p50)} ms, 99.9 % ${ms(many.gaps.p999)} ms; losses by sequence numbers`,
      `times are the kernel's as it takes a packet in, so they do not depend on when the receiver reads it; the receiver dropped ${many.drops} packets of its own and took ${round(many.cpu.receiver * 100, 0)} % of a core (${round(few.cpu.receiver * 100, 0)} % with 50 calls), which the calls had not`,
      `${many.gaps.streams} streams at once for ${round(many.seconds, 1)} s, after a ramp of ${RATE} calls a second; of a core: Asterisk ${round(many.cpu.asterisk * 100, 0)} %, engine ${round(many.cpu.engine * 100, 0)} %, Postgres ${round(many.cpu.postgres * 100, 0)} %, on average over the whole run`,
    ],
    details: { few, many },
  };
}

async function hear(dir: string, calls: number, sentences: number, say: (line: string) => void) {
  await mkdir(dir, { recursive: true });
  const [port = 0] = await freePorts(1);
  const bench = await startBench({
    dir: join(dir, 'stack'),
    mediaPort: port,
    caps: { maxChannels: calls, callsPerSecond: RATE },
  });
  const receiver = await startRtpReceiver(port, dir);
  try {
    const id = await prepared(bench, people(calls), SENTENCE.repeat(sentences));
    say(`${calls} calls`);
    const used = await measureCpu({ ...bench.pids, receiver: receiver.pid });
    const began = performance.now();
    if (!(await runBroadcast(bench, id, 180_000))) throw new Error('the calls were not over in 180 s');
    const seconds = (performance.now() - began) / 1000;
    const cpu = await used();
    const drops = await receiver.drops();
    const seen = (await bench.carrier?.calls()) ?? [];
    const from = Math.max(...seen.map(({ answeredAt }) => answeredAt ?? Number.POSITIVE_INFINITY));
    const until = Math.min(...seen.map(({ endedAt }) => endedAt ?? Number.POSITIVE_INFINITY));
    // Right after its answer a call does not speak yet.
    const arrivals = (await receiver.stop()).filter(({ atMs }) => atMs > from + 500 && atMs < until);
    const share = Object.fromEntries(Object.entries(cpu).map(([name, value]) => [name, value / seconds]));
    return {
      gaps: reportGaps(arrivals),
      drops,
      seconds: (until - from - 500) / 1000,
      cpu: { receiver: 0, asterisk: 0, engine: 0, postgres: 0, ...share },
    };
  } finally {
    await receiver.stop().catch(() => []);
    await bench.stop();
  }
}
