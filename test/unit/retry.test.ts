import fc from 'fast-check';
import t from 'tap';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import { decideRetry, type History, type Verdict } from '../../engine/domain/retry.ts';
import { OUTCOMES, type Outcome } from '../../engine/domain/terms.ts';

const fresh: History = { tries: 0, interruptions: 0, trunkFailures: 0 };
const minutes = (count: number) => count * 60_000;

/** The specification's table of results (domain.md): what follows the first, the second and the third time. */
const TABLE: [Outcome, number, Verdict['retryInMs'][]][] = [
  ['busy', 0, [minutes(15), minutes(15), null]],
  ['no_answer', 0, [minutes(15), minutes(15), null]],
  ['declined', 0, [minutes(15), null]],
  ['not_heard', 0, [minutes(15), null]],
  ['partial', 0.32, [minutes(15), null]],
  ['partial', 0.34, [null]],
  ['confirmed', 1, [null]],
  ['heard', 1, [null]],
  ['voicemail', 1, [null]],
  ['unsure', 1, [null]],
  ['screened', 1, [null]],
  ['bad_number', 0, [null]],
  ['blocked', 0, [null]],
  ['no_common_codec', 0, [null]],
];

t.test('the table of results: tries of the parent', async (t) => {
  for (const [outcome, share, waits] of TABLE)
    for (const [tries, retryInMs] of waits.entries())
      t.same(
        decideRetry(outcome, share, { ...fresh, tries }, DEFAULT_POLICY),
        { counted: 'try', retryInMs, reroute: false },
        `${outcome}, ${share} of it heard, after ${tries} tries`,
      );
});

t.test(
  'a failure of the trunk is no try: another trunk at once, or a wait that grows to five minutes',
  async (t) => {
    for (const outcome of ['trunk_failure', 'rate_limited', 'trunk_refused'] as const) {
      const policy = { ...DEFAULT_POLICY, maxTrunkFailures: 9 };
      const verdicts = Array.from({ length: 9 }, (_, trunkFailures) =>
        decideRetry(outcome, 0, { ...fresh, trunkFailures }, policy),
      );
      t.same(
        verdicts.map(({ retryInMs }) => retryInMs),
        [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000, null],
      );
      t.ok(verdicts.every(({ counted, reroute }) => counted === 'trunk_failure' && reroute));
    }
    t.equal(
      decideRetry('trunk_failure', 0, { ...fresh, trunkFailures: 4 }, DEFAULT_POLICY).retryInMs,
      null,
      'five by default',
    );
  },
);

t.test('a number that this trunk may not dial: another one, or never', async (t) => {
  t.same(decideRetry('barred', 0, fresh, DEFAULT_POLICY), {
    counted: 'nothing',
    retryInMs: null,
    reroute: true,
  });
});

t.test('what our own faults ended is redialled at most once', async (t) => {
  for (const outcome of ['interrupted', 'failed'] as const) {
    t.equal(decideRetry(outcome, 0, fresh, DEFAULT_POLICY).retryInMs, 0);
    t.equal(decideRetry(outcome, 0, { ...fresh, interruptions: 1 }, DEFAULT_POLICY).retryInMs, null);
  }
});

t.test('every call ends, whatever happens to it', async () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...OUTCOMES), { minLength: 40, maxLength: 40 }), (outcomes) => {
      let history = fresh;
      for (const outcome of outcomes) {
        const { counted, retryInMs } = decideRetry(outcome, 0, history, DEFAULT_POLICY);
        if (retryInMs === null) return true;
        history = {
          tries: history.tries + Number(counted === 'try'),
          interruptions: history.interruptions + Number(counted === 'interruption'),
          trunkFailures: history.trunkFailures + Number(counted === 'trunk_failure'),
        };
      }
      return false;
    }),
  );
});
