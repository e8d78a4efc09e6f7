import { engineDriver } from './drivers/driver.ts';
import type { Context, Figure, Figures, Row } from './figure.ts';
import { findPeak } from './measure/peak.ts';
import { footprint } from './measure/processes.ts';
import { round } from './measure/stats.ts';
import { verdictOf } from './measure/verdict.ts';
import { HEADROOM, SHORT_TEXT, tryOut, untilQuiet } from './peak.ts';
import { messageMsOf, people, prepared, runBroadcast } from './roster.ts';
import { type Bench, startBench } from './stack.ts';

/** Calls of one broadcast; the next is prepared while it runs. */
const BATCH_SECONDS = 60;
const SAMPLE_MS = 10_000;

interface Sample {
  minute: number;
  /** MB and open files by process, and the engine's heap. */
  megabytes: Record<string, number>;
  files: Record<string, number>;
  heapMb: number;
}

/** Figure 7: half of the peak for half an hour. */
export const soak: Figure = { name: 'soak', title: 'Soak', run };

async function run({ dir, quick, minutes, say }: Context): Promise<Figures> {
  const bench = await startBench({ dir });
  try {
    const first = await prepared(bench, people(1), SHORT_TEXT);
    await runBroadcast(bench, first, 30_000);
    const messageMs = await messageMsOf(bench, first);
    const driver = engineDriver(bench, SHORT_TEXT, HEADROOM);
    const { peak } = await findPeak(tryOut(bench, driver, messageMs), {
      first: 80,
      stepSeconds: quick ? 4 : 10,
      sustainSeconds: quick ? 8 : 20,
      onTrial: (one) => say(`peak: ${one.offered} offered, ${one.rate} placed`),
    });
    const rate = Math.max(1, Math.round(peak.rate / 2));
    say(`${rate} a second for ${minutes} minutes`);
    const callsBefore = ((await bench.carrier?.calls()) ?? []).length;
    const samples = await runFor(bench, rate, minutes, say);
    await untilQuiet(bench);
    const calls = ((await bench.carrier?.calls()) ?? []).slice(callsBefore);
    const verdict = verdictOf(calls, messageMs);
    return {
      rows: rowsOf(samples, verdict.calls - verdict.good),
      notes: [
        `${verdict.calls} calls at ${rate} a second, half of the peak of ${peak.rate}; broadcasts of ${BATCH_SECONDS} s each, the next one prepared while one runs`,
        `memory: resident, for Postgres with its shared pages counted once; start is after the search for the peak; all channels of Asterisk were gone in the end`,
      ],
      details: { rate, peak, verdict, samples },
    };
  } finally {
    await bench.stop();
  }
}

async function runFor(bench: Bench, rate: number, minutes: number, say: (line: string) => void) {
  const began = performance.now();
  const endMs = minutes * 60_000;
  const elapsed = () => performance.now() - began;
  const samples: Sample[] = [await sampleOf(bench, 0)];
  let over = false;
  const watch = async () => {
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      samples.push(await sampleOf(bench, elapsed() / 60_000));
    }
  };
  const watching = watch();
  await bench.setCaps({ callsPerSecond: rate });
  const size = () => Math.ceil(rate * Math.min(BATCH_SECONDS, Math.max(1, (endMs - elapsed()) / 1000)));
  let next = await prepared(bench, people(size()), SHORT_TEXT);
  while (elapsed() < endMs) {
    const current = next;
    const running = runBroadcast(bench, current, BATCH_SECONDS * 3_000);
    next = await prepared(bench, people(size()), SHORT_TEXT);
    if (!(await running)) say('a broadcast was not over in three times its time');
  }
  over = true;
  await watching;
  return samples;
}

async function sampleOf(bench: Bench, minute: number): Promise<Sample> {
  const megabytes: Record<string, number> = {};
  const files: Record<string, number> = {};
  for (const [name, pid] of Object.entries(bench.pids)) {
    const found = await footprint(pid);
    megabytes[name] = round(found.megabytes, 1);
    files[name] = found.files;
  }
  const metrics = await (await fetch(`${bench.engine.url}/metrics`)).text();
  const heap = Number(/^rollcall_nodejs_heap_size_used_bytes (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN);
  return { minute: round(minute), megabytes, files, heapMb: round(heap / 2 ** 20, 1) };
}

function rowsOf(samples: readonly Sample[], errors: number): Row[] {
  const [start, middle, end] = [samples[0], samples[Math.floor(samples.length / 2)], samples.at(-1)];
  const row = (
    what: string,
    read: (sample: Sample | undefined) => number | undefined,
    unit: string,
  ): Row => ({
    what: `${what}, end`,
    value: read(end) ?? Number.NaN,
    unit,
    baseline: { what: `start; middle ${read(middle)}`, value: read(start) ?? Number.NaN },
  });
  return [
    ...Object.keys(end?.megabytes ?? {}).flatMap((name) => [
      row(`${name} memory`, (sample) => sample?.megabytes[name], 'MB'),
      row(`${name} files`, (sample) => sample?.files[name], 'open'),
    ]),
    row('engine heap', (sample) => sample?.heapMb, 'MB'),
    { what: 'calls without their result', value: errors, unit: 'calls', goal: { at: 'most', value: 0 } },
  ];
}
