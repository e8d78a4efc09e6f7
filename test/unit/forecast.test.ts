/** Forecasts against closed forms, and against a plain simulation with dice, one call at a time. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  type CallGroup,
  type Forecast,
  type ForecastInput,
  forecast,
  NO_HISTORY,
  type OutcomeClass,
} from '../../engine/domain/forecast.ts';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import { decideRetry } from '../../engine/domain/retry.ts';
import { GUARD_MS } from '../../engine/domain/throttle.ts';

const ALWAYS = [{ fromMs: 0, untilMs: Number.POSITIVE_INFINITY }];
const HOUR = 3_600_000;
const heard = (talkMs: number, ringMs = 0): OutcomeClass => ({ outcome: 'heard', share: 1, ringMs, talkMs });

const group = (count: number, more: Partial<CallGroup> = {}): CallGroup => ({
  count,
  open: ALWAYS,
  dueInMs: 0,
  history: NO_HISTORY,
  tried: false,
  ...more,
});

function input(
  groups: CallGroup[],
  trunks: ForecastInput['trunks'],
  first: OutcomeClass[],
  more: Partial<ForecastInput> & { later?: OutcomeClass[] } = {},
): ForecastInput {
  const { later = first, ...rest } = more;
  const own = { groups, live: [], pattern: { first, later } };
  return {
    own,
    triedBefore: 0,
    others: [],
    trunks,
    policy: DEFAULT_POLICY,
    retryOrder: 'by_due_time',
    ...rest,
  };
}

/** What one call a second comes to, in ms: the guard, and the time until an INVITE is seen. */
const SLOT = 1_000 + GUARD_MS + 15;

/** Calls per second that remain of a cap, with the guard and the time until an INVITE is seen. */
const kept = (rate: number): number => Math.ceil(rate) / (Math.ceil(rate) / rate + (GUARD_MS + 15) / 1000);

function near(t: Test, found: number | null, expected: number, share: number, what: string): void {
  const off = ((found ?? Number.NaN) - expected) / expected;
  t.ok(
    Math.abs(off) <= share,
    `${what}: ${found} is ${(off * 100).toFixed(1)} % off ${Math.round(expected)}`,
  );
}

t.test('calls per second are the limit', async (t) => {
  for (const [calls, rate] of [
    [300, 5],
    [10_000, 20],
    [100_000, 40],
    [1_000_000, 100],
    [1_000_000, 0.5],
  ] as const) {
    const found = forecast(
      input([group(calls)], [{ callsPerSecond: rate, maxChannels: 100_000 }], [heard(20_000)]),
    );
    const all = (calls / kept(rate)) * 1000;
    near(t, found.allTriedMs, all, 0.02, `${calls} at ${rate}, all`);
    near(t, found.halfTriedMs, all / 2, 0.03, `${calls} at ${rate}, half`);
    near(t, found.mostTriedMs, all * 0.95, 0.02, `${calls} at ${rate}, most`);
    near(t, found.doneMs, all + 20_000, 0.02, `${calls} at ${rate}, done`);
    near(t, all, (calls / rate) * 1000, 0.06, 'the cap itself');
  }
});

t.test('channels are the limit', async (t) => {
  for (const [calls, channels] of [
    [500, 10],
    [20_000, 48],
    [200_000, 480],
    [1_000_000, 23],
    [1_000_000, 2_000],
  ] as const) {
    const found = forecast(
      input([group(calls)], [{ callsPerSecond: 400, maxChannels: channels }], [heard(22_000, 8_000)]),
    );
    const all = (calls / channels) * 30_060;
    near(t, found.halfTriedMs, all / 2, 0.05, `${calls} on ${channels}, half`);
    near(t, found.allTriedMs, all, 0.05, `${calls} on ${channels}, all`);
  }
});

t.test('two trunks add up, and the slower one does not hold the faster one back', async (t) => {
  const trunks = [
    { callsPerSecond: 30, maxChannels: 100_000 },
    { callsPerSecond: 10, maxChannels: 100_000 },
  ];
  const found = forecast(input([group(8_000)], trunks, [heard(20_000)]));
  near(t, found.allTriedMs, (8_000 / (kept(30) + kept(10))) * 1000, 0.02, 'all');
});

t.test('retries come after the first tries, and make the end later', async (t) => {
  const busy: OutcomeClass = { outcome: 'busy', share: 1, ringMs: 1_000, talkMs: 0 };
  const found = forecast(input([group(1_000)], [{ callsPerSecond: 10, maxChannels: 1_000 }], [busy]));
  const all = (1_000 / kept(10)) * 1000;
  near(t, found.allTriedMs, all, 0.02, 'all');
  // Three tries, 15 minutes between; each wave is as long as the first.
  near(t, found.doneMs, all + 2 * 901_000 + 1_000, 0.02, 'done');
});

t.test('a retry that is due takes a permit from a first try that is not', async (t) => {
  const found = forecast(
    input(
      [group(100), group(100, { dueInMs: -1, tried: true, history: { ...NO_HISTORY, tries: 1 } })],
      [{ callsPerSecond: 10, maxChannels: 1_000 }],
      [heard(1_000)],
      { triedBefore: 200 },
    ),
  );
  t.equal(found.halfTriedMs, 0, '300 of 400 have been tried');
  // 95 % is after 80 more, all after 100; those that wait for their retry share the permits.
  near(t, found.mostTriedMs, (180 / kept(10)) * 1000, 0.05, 'most');
  near(t, found.allTriedMs, (200 / kept(10)) * 1000, 0.05, 'all');
});

t.test('retries first: those that come due before the end delay it', async (t) => {
  const busy: OutcomeClass = { outcome: 'busy', share: 1, ringMs: 1_000, talkMs: 0 };
  const work = (calls: number) =>
    input([group(calls)], [{ callsPerSecond: 1, maxChannels: 1_000 }], [busy], { retryOrder: 'first' });
  near(t, forecast(work(800)).allTriedMs, 800 * SLOT, 0.01, 'over before the first retry is due');
  // After 901 s as many retries come due as there are permits, and again 901 s later: those that were tried in
  // the first 901 s are tried three times before the rest are tried once.
  const thrice = Math.floor(901_000 / SLOT);
  const found = forecast(work(1_000));
  near(t, found.halfTriedMs, 500 * SLOT, 0.01, 'half');
  near(t, found.allTriedMs, (2 * thrice + 1_000) * SLOT, 0.01, 'all');
  const later = forecast({ ...work(1_000), retryOrder: 'by_due_time' });
  near(t, later.allTriedMs, 1_000 * SLOT, 0.01, 'by due time it is as if there were none');
});

t.test('live calls hold their channels and come back', async (t) => {
  const work = input([group(100)], [{ callsPerSecond: 50, maxChannels: 10 }], [heard(30_000)]);
  const live = { count: 10, trunk: 0, elapsedMs: 20_000, open: ALWAYS, history: NO_HISTORY };
  const found = forecast({ ...work, own: { ...work.own, live: [live] } });
  const without = forecast(work);
  near(t, found.allTriedMs, (without.allTriedMs ?? 0) + 10_060, 0.01, 'ten seconds later');
  const lost = forecast({ ...work, own: { ...work.own, live: [{ ...live, elapsedMs: 99_000 }] } });
  near(t, lost.allTriedMs, without.allTriedMs ?? 0, 0.01, 'one that is longer than any ends now');
});

t.test('a more urgent broadcast goes first, an equal one takes turns', async (t) => {
  const trunks = [{ callsPerSecond: 10, maxChannels: 1_000 }];
  const work = input([group(1_000)], trunks, [heard(1_000)]);
  const other = { ...work.own, groups: [group(500)] };
  const alone = forecast(work).allTriedMs ?? 0;
  const behind = forecast({ ...work, others: [{ ...other, moreUrgent: true }] });
  near(t, behind.allTriedMs, alone * 1.5, 0.01, 'all, behind a more urgent one');
  near(t, behind.halfTriedMs, alone, 0.01, 'half, behind a more urgent one');
  const beside = forecast({ ...work, others: [{ ...other, moreUrgent: false }] });
  near(t, beside.allTriedMs, alone * 1.5, 0.01, 'all, beside an equal one');
  near(t, beside.halfTriedMs, alone, 0.01, 'half, beside an equal one');
  const longer = forecast({ ...work, others: [{ ...other, groups: [group(9_000)], moreUrgent: false }] });
  near(t, longer.allTriedMs, alone * 2, 0.01, 'it takes no more than its turn');
});

t.test(
  'hours: one zone opens later, and what is not reached by the evening waits for the morning',
  async (t) => {
    const trunks = [{ callsPerSecond: 1, maxChannels: 1_000 }];
    const late = [{ fromMs: HOUR, untilMs: 24 * HOUR }];
    const found = forecast(input([group(500), group(500, { open: late })], trunks, [heard(10_000)]));
    near(t, found.halfTriedMs, 500 * SLOT, 0.02, 'half: those that may ring now');
    near(t, found.allTriedMs, HOUR + 500 * SLOT, 0.02, 'all');
    const twice = [
      { fromMs: 0, untilMs: HOUR },
      { fromMs: 10 * HOUR, untilMs: 24 * HOUR },
    ];
    const overnight = forecast(input([group(5_000, { open: twice })], trunks, [heard(10_000)]));

    const inTheFirst = HOUR / SLOT;
    near(t, overnight.allTriedMs, 10 * HOUR + (5_000 - inTheFirst) * 1_055, 0.01, 'all, the next day');
    const never = forecast(input([group(5_000, { open: twice.slice(0, 1) })], trunks, [heard(10_000)]));
    t.match(never, { mostTriedMs: null, allTriedMs: null, doneMs: null });
    t.ok((never.halfTriedMs ?? 0) > 0);
  },
);

t.test('nothing to do, and nobody to do it', async (t) => {
  const done = { halfTriedMs: 0, mostTriedMs: 0, allTriedMs: 0, doneMs: 0 };
  const trunks = [{ callsPerSecond: 1, maxChannels: 1 }];
  t.same(forecast(input([], trunks, [heard(1)], { triedBefore: 10 })), done);
  t.same(forecast(input([], [], [heard(1)])), done);
  const none: Forecast = { halfTriedMs: null, mostTriedMs: null, allTriedMs: null, doneMs: null };
  t.same(forecast(input([group(1)], [], [heard(1)])), none);
});

/** One call at a time, with dice, and none of the forecast's means. */
function simulate(
  calls: number,
  { callsPerSecond, maxChannels }: { callsPerSecond: number; maxChannels: number },
  pattern: { first: OutcomeClass[]; later: OutcomeClass[] },
  dice: () => number,
): { half: number; most: number; all: number } {
  const waiting = Array.from({ length: calls }, () => ({ due: 0, history: NO_HISTORY }));
  let busy: number[] = [];
  const tried: number[] = [];
  const burst = Math.ceil(callsPerSecond);
  const sent: number[] = [];
  for (let now = 0; waiting.length > 0; ) {
    now = Math.max(
      now,
      (sent.at(-1) ?? Number.NEGATIVE_INFINITY) + 250 / callsPerSecond,
      (sent.at(-burst) ?? Number.NEGATIVE_INFINITY) + (burst * 1000) / kept(callsPerSecond),
    );
    busy = busy.filter((end) => end > now);
    while (busy.length >= maxChannels) {
      now = Math.min(...busy);
      busy = busy.filter((end) => end > now);
    }
    let next = 0;
    for (let index = 1; index < waiting.length && waiting[next]?.due !== 0; index += 1)
      if ((waiting[index]?.due ?? 0) < (waiting[next]?.due ?? 0)) next = index;
    const [call] = waiting.splice(next, 1);
    if (call === undefined) break;
    if (call.due > now) {
      now = call.due;
      busy = busy.filter((end) => end > now);
    }
    sent.push(now);
    if (call.history.tries === 0) tried.push(now);
    const classes = call.history.tries === 0 ? pattern.first : pattern.later;
    let roll = dice() * classes.reduce((sum, { share }) => sum + share, 0);
    const drawn =
      classes.find(({ share }) => {
        roll -= share;
        return roll < 0;
      }) ?? heard(0);
    const end = now + drawn.ringMs + drawn.talkMs;
    busy.push(end + 60);
    const verdict = decideRetry(drawn.outcome, 1, call.history, DEFAULT_POLICY);
    if (verdict.retryInMs !== null)
      waiting.push({
        due: end + verdict.retryInMs,
        history: { ...call.history, tries: call.history.tries + 1 },
      });
  }
  const at = (share: number) => tried[Math.ceil(calls * share) - 1] ?? Number.NaN;
  return { half: at(0.5), most: at(0.95), all: at(1) };
}

function diceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

t.test('a plain simulation with dice says the same within 5 %', async () => {
  const mix = (busy: number, noAnswer: number, talkMs: number) => [
    // Phones are picked up after two, three or more rings: without that, channels come free in waves.
    ...[3_000, 6_000, 9_000, 12_000, 15_000, 18_000, 21_000].map((ringMs) => ({
      outcome: 'heard' as const,
      share: (100 - busy - noAnswer) / 7,
      ringMs,
      talkMs,
    })),
    { outcome: 'busy' as const, share: busy, ringMs: 500, talkMs: 0 },
    { outcome: 'no_answer' as const, share: noAnswer, ringMs: 30_000, talkMs: 0 },
  ];
  fc.assert(
    fc.property(
      fc.integer({ min: 800, max: 2_000 }),
      fc.double({ min: 1, max: 40, noNaN: true }),
      fc.integer({ min: 10, max: 100 }),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 5_000, max: 60_000 }),
      fc.integer({ min: 0, max: 4_000_000_000 }),
      (calls, callsPerSecond, maxChannels, busy, noAnswer, talkMs, seed) => {
        const trunk = { callsPerSecond, maxChannels };
        const pattern = { first: mix(busy, noAnswer, talkMs), later: mix(busy, noAnswer * 1.5, talkMs) };
        const found = forecast(input([group(calls)], [trunk], pattern.first, { later: pattern.later }));
        // One run of dice is as far from the next as it is from the forecast.
        const runs = Array.from({ length: 7 }, (_, run) =>
          simulate(calls, trunk, pattern, diceOf(seed + run)),
        );
        const off = (one: number | null, of: (run: (typeof runs)[number]) => number) => {
          const mean = runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
          return Math.abs((one ?? Number.NaN) - mean) / mean;
        };
        const worst = Math.max(
          off(found.halfTriedMs, ({ half }) => half),
          off(found.mostTriedMs, ({ most }) => most),
          off(found.allTriedMs, ({ all }) => all),
        );
        return worst <= 0.05;
      },
    ),
    { numRuns: 60, seed: 3, endOnFailure: true },
  );
});

t.test('a million calls with retries, zones and others take no longer than a glance', async (t) => {
  const pattern = [
    heard(25_000, 8_000),
    { outcome: 'no_answer' as const, share: 0.4, ringMs: 30_000, talkMs: 0 },
    { outcome: 'busy' as const, share: 0.1, ringMs: 500, talkMs: 0 },
  ];
  const work = input(
    Array.from({ length: 5 }, (_, index) =>
      group(200_000, { open: [{ fromMs: index * HOUR, untilMs: 90 * HOUR }] }),
    ),
    Array.from({ length: 4 }, () => ({ callsPerSecond: 50, maxChannels: 1_000 })),
    pattern,
  );
  const others = [true, false].map((moreUrgent) => ({ ...work.own, groups: [group(300_000)], moreUrgent }));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    // Not by the clock on the wall: the machine may have more to do.
    const began = process.cpuUsage();
    forecast({ ...work, others });
    best = Math.min(best, process.cpuUsage(began).user / 1000);
  }
  t.comment(`${best.toFixed(0)} ms`);
  t.ok(best <= 200, `${best.toFixed(0)} ms`);
  t.same(forecast({ ...work, others }), forecast({ ...work, others }), 'twice the same');
});
