import fc from 'fast-check';
import t from 'tap';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';
import { decideRetry, type History } from '../../engine/domain/retry.ts';
import { OUTCOMES } from '../../engine/domain/terms.ts';

const fresh: History = { tries: 0, interruptions: 0, trunkFailures: 0 };
const minutes = (count: number) => count * 60_000;

t.test('busy and no answer: again after 15 minutes, twice', async (t) => {
  for (const outcome of ['busy', 'no_answer'] as const) {
    t.same(decideRetry(outcome, 0, fresh, DEFAULT_POLICY), { counted: 'try', retryInMs: minutes(15) });
    t.equal(decideRetry(outcome, 0, { ...fresh, tries: 1 }, DEFAULT_POLICY).retryInMs, minutes(15));
    t.equal(decideRetry(outcome, 0, { ...fresh, tries: 2 }, DEFAULT_POLICY).retryInMs, null);
  }
});

t.test('declined, nothing heard, and partial under a third: one more try', async (t) => {
  for (const [outcome, share] of [
    ['declined', 0],
    ['not_heard', 0],
    ['partial', 0.32],
  ] as const) {
    t.equal(decideRetry(outcome, share, fresh, DEFAULT_POLICY).retryInMs, minutes(15));
    t.equal(decideRetry(outcome, share, { ...fresh, tries: 1 }, DEFAULT_POLICY).retryInMs, null);
  }
  t.equal(decideRetry('partial', 0.34, fresh, DEFAULT_POLICY).retryInMs, null);
});

t.test('final at once', async (t) => {
  for (const outcome of [
    'confirmed',
    'heard',
    'voicemail',
    'unsure',
    'bad_number',
    'blocked',
    'no_common_codec',
  ] as const)
    t.same(decideRetry(outcome, 1, fresh, DEFAULT_POLICY), { counted: 'try', retryInMs: null });
});

t.test('a trunk failure is no try, and waits longer each time', async (t) => {
  const waits = [0, 1, 2, 3].map(
    (trunkFailures) => decideRetry('trunk_failure', 0, { ...fresh, trunkFailures }, DEFAULT_POLICY).retryInMs,
  );
  t.same(waits, [10_000, 20_000, 40_000, 80_000]);
  t.same(decideRetry('trunk_failure', 0, { ...fresh, trunkFailures: 4 }, DEFAULT_POLICY), {
    counted: 'trunk_failure',
    retryInMs: null,
  });
});

t.test('an interrupted attempt is redialled at most once', async (t) => {
  t.equal(decideRetry('interrupted', 0, fresh, DEFAULT_POLICY).retryInMs, 0);
  t.equal(decideRetry('interrupted', 0, { ...fresh, interruptions: 1 }, DEFAULT_POLICY).retryInMs, null);
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
