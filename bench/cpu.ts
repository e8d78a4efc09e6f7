import type { Context, Figure, Figures } from './figure.ts';
import { measureCpu } from './measure/processes.ts';
import { round } from './measure/stats.ts';
import { verdictOf } from './measure/verdict.ts';
import { messageMsOf, people, prepared, runBroadcast } from './roster.ts';
import { startBench } from './stack.ts';

const RATE = 50;
const MESSAGE = 'School is closed today. Classes begin again tomorrow.';

/** Figure 3: what a call costs each process, at a steady rate, with a message of some seconds. */
export const cpu: Figure = { name: 'cpu', title: 'CPU per call', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  const seconds = quick ? 15 : 60;
  const bench = await startBench({
    dir,
    caps: { maxChannels: 5_000, callsPerSecond: RATE },
    policy: { answerPauseMs: 500, keyWaitMs: 500 },
  });
  try {
    const calls = RATE * seconds;
    const id = await prepared(bench, people(calls), MESSAGE);
    const messageMs = await messageMsOf(bench, id);
    say(`${calls} calls at ${RATE} a second, ${round(messageMs / 1000, 1)} s of message each`);
    const used = await measureCpu(bench.pids);
    const over = await runBroadcast(bench, id, (seconds * 2 + 60) * 1000);
    const cpuSeconds = await used();
    const verdict = verdictOf((await bench.carrier?.calls()) ?? [], messageMs);
    const perCall = Object.fromEntries(
      Object.entries(cpuSeconds).map(([name, value]) => [name, round((value / calls) * 1000, 3)]),
    );
    const { engine = 0, postgres = 0, asterisk = 0, carrier = 0 } = perCall;
    return {
      rows: [
        { what: 'engine', value: engine, unit: 'ms/call' },
        { what: 'Postgres', value: postgres, unit: 'ms/call' },
        { what: 'Asterisk', value: asterisk, unit: 'ms/call' },
        { what: 'carrier (SIPp)', value: carrier, unit: 'ms/call' },
        {
          what: 'engine + Postgres',
          value: round(engine + postgres, 3),
          unit: 'ms/call',
          baseline: { what: "half of Asterisk's", value: round(asterisk / 2, 3) },
          goal: { at: 'most', value: round(asterisk / 2, 3) },
        },
      ],
      notes: [
        `user and system time of all threads and child processes, from /proc, over ${calls} calls at ${verdict.rate} a second (${RATE} asked for)`,
        `each answered, ${round(messageMs / 1000, 1)} s of message, 0.5 s before and after it, hung up by the engine; ${verdict.good} of ${calls} as expected${over ? '' : '; the broadcast was not over in time'}`,
      ],
      details: { cpuSeconds, perCall, verdict, messageMs },
    };
  } finally {
    await bench.stop();
  }
}
