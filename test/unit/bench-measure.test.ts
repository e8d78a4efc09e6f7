/** Percentiles, the search for the peak, what the carrier's log says of a run, and self times of a profile. */
import t from 'tap';
import { findPeak, type Trial } from '../../bench/measure/peak.ts';
import { type CpuProfile, moduleOf, selfTimes } from '../../bench/measure/profiler.ts';
import { median, percentile } from '../../bench/measure/stats.ts';
import { rateOf, verdictOf } from '../../bench/measure/verdict.ts';

t.test('percentiles by the nearest rank', async (t) => {
  const values = [5, 1, 4, 2, 3];
  t.equal(median(values), 3);
  t.equal(percentile(values, 0.99), 5);
  t.equal(percentile(values, 0), 1);
  t.same(values, [5, 1, 4, 2, 3], 'the values are left in their order');
  t.ok(Number.isNaN(percentile([], 0.5)));
});

t.test('the peak is what holds for the long run', async (t) => {
  // Up to 100 a second for a moment, 90 for longer.
  const run = async (offered: number, seconds: number): Promise<Trial> => {
    const limit = seconds > 10 ? 90 : 100;
    return {
      offered,
      seconds,
      calls: offered * seconds,
      rate: Math.min(offered, limit),
      errors: 0,
      cpuMs: {},
    };
  };
  const { peak, trials } = await findPeak(run, {
    first: 40,
    stepSeconds: 5,
    sustainSeconds: 60,
    onTrial: () => undefined,
  });
  t.ok(peak.rate >= 85 && peak.rate <= 90, `${peak.rate}`);
  t.equal(peak.seconds, 60);
  t.ok(trials.length < 12);
});

t.test('a rate with errors is no peak', async (t) => {
  const run = async (offered: number, seconds: number): Promise<Trial> => {
    const calls = offered * seconds;
    return { offered, seconds, calls, rate: offered, errors: offered > 80 ? calls * 0.1 : 0, cpuMs: {} };
  };
  const { peak } = await findPeak(run, {
    first: 40,
    stepSeconds: 5,
    sustainSeconds: 60,
    onTrial: () => undefined,
  });
  t.ok(peak.rate <= 80 && peak.rate > 60, `${peak.rate}`);
});

t.test("the carrier's word on a run", async (t) => {
  const call = { callId: 'x', number: '+13035550100', from: '', behaviour: 'person', inviteAt: 0 };
  const good = { ...call, answeredAt: 10, endedAt: 1_010, endedBy: 'engine' as const };
  const calls = [
    good,
    { ...good, inviteAt: 1_000, endedAt: 500 },
    { ...good, inviteAt: 2_000, endedBy: 'carrier' as const },
    { ...call, inviteAt: 3_000 },
  ];
  t.same(verdictOf(calls, 1_000), { calls: 4, good: 1, rate: 1 });
  t.equal(rateOf([5]), 0);
});

t.test('self times', async (t) => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 4 });
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('claim', 'file:///x/engine/store/ledger.ts') },
      { id: 3, callFrame: frame('parse', 'file:///x/node_modules/@a/b/lib/c.js') },
    ],
    samples: [1, 2, 3, 2],
    timeDeltas: [1_000, 3_000, 2_000, 3_000],
  };
  t.same(selfTimes(profile), [
    { where: 'claim engine/store/ledger.ts:5', milliseconds: 6, share: 0.75 },
    { where: 'parse node_modules/@a/b/lib/c.js:5', milliseconds: 2, share: 0.25 },
  ]);
  t.same(
    selfTimes(profile, moduleOf).map(({ where }) => where),
    ['engine/store/ledger.ts', '@a/b'],
  );
});
