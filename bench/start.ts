import type { Context, Figure, Figures } from './figure.ts';
import { median, percentile, round } from './measure/stats.ts';
import { askForBroadcast, people, prepared, until } from './roster.ts';
import { type Bench, startBench } from './stack.ts';

const CAPS = { maxChannels: 60, callsPerSecond: 20 };
const RENDERED = 'Emergency. All schools are closed.';

/** Figure 4: from the API request of an emergency to its INVITE at the carrier. */
export const start: Figure = { name: 'start', title: 'Emergency start', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  const times = quick ? 6 : 25;
  const queued = quick ? 10_000 : 100_000;
  const bench = await startBench({ dir, caps: CAPS });
  try {
    // Renders the text, and warms up what is loaded at the first request.
    await startMs(bench, RENDERED);
    say('idle');
    const idle = await series(bench, times);
    say(`with ${queued} attendance calls queued and running`);
    const id = await prepared(bench, people(queued), 'This is the attendance office. Good day.');
    await bench.api.request('POST', `/v1/broadcasts/${id}/run`);
    await until(
      'attendance calls run',
      30_000,
      async () => ((await bench.carrier?.calls()) ?? []).length > 100,
    );
    const busy = await series(bench, times);
    const row = (what: string, found: number[], goal: number) => ({
      what,
      value: round(median(found), 0),
      unit: 'ms',
      goal: { at: 'most' as const, value: goal },
    });
    const spread = (found: number[]) =>
      `${round(Math.min(...found), 0)} to ${round(percentile(found, 1), 0)}`;
    return {
      rows: [
        row('rendered audio', idle.rendered, 300),
        row('new text', idle.fresh, 1_500),
        row(`rendered audio, ${queued} queued`, busy.rendered, 300),
        row(`new text, ${queued} queued`, busy.fresh, 1_500),
      ],
      notes: [
        `median of ${times}; from before the POST is sent to the time of the INVITE in the carrier's log, one clock`,
        `idle ${spread(idle.rendered)} and ${spread(idle.fresh)} ms; busy ${spread(busy.rendered)} and ${spread(busy.fresh)} ms`,
        `the busy trunk places ${CAPS.callsPerSecond} calls a second on ${CAPS.maxChannels} channels all the time, so an emergency also waits for the next permit`,
      ],
      details: { idle, busy },
    };
  } finally {
    await bench.stop();
  }
}

async function series(bench: Bench, times: number): Promise<{ rendered: number[]; fresh: number[] }> {
  const rendered: number[] = [];
  const fresh: number[] = [];
  for (let count = 0; count < times; count += 1) {
    rendered.push(await startMs(bench, RENDERED));
    fresh.push(await startMs(bench, `Emergency. Please leave by gate ${crypto.randomUUID().slice(0, 6)}.`));
  }
  return { rendered, fresh };
}

async function startMs(bench: Bench, text: string): Promise<number> {
  const [phone = ''] = people(1);
  const asked = performance.timeOrigin + performance.now();
  await askForBroadcast(
    bench,
    { phones: [phone] },
    { text, category: 'emergency_school_hours', start: true },
  );
  let at: number | undefined;
  await until('the emergency call is placed', 30_000, async () => {
    at = (await bench.carrier?.calls())?.findLast(({ number }) => number === phone)?.inviteAt;
    return at !== undefined;
  });
  return (at ?? Number.NaN) - asked;
}
