import t from 'tap';
import {
  heardLevelOf,
  isAnalyticsBlock,
  outcomeOfEnding,
  outcomeOfListening,
} from '../../engine/domain/outcome.ts';
import type { Outcome } from '../../engine/domain/terms.ts';

const rang = { progressed: true, rangOut: false, analyticsBlock: false, rateLimited: false };

t.test('SIP codes', async (t) => {
  const table: [number[], Outcome][] = [
    [[486, 600], 'busy'],
    [[408, 480, 487], 'no_answer'],
    [[404, 410, 484, 604], 'bad_number'],
    [[607, 608], 'blocked'],
    [[603], 'declined'],
    [[500, 502, 503, 504, 599, 420, 302], 'trunk_failure'],
    [[429], 'rate_limited'],
    [[401, 403, 407], 'trunk_refused'],
    [[488, 606], 'no_common_codec'],
  ];
  for (const [codes, outcome] of table)
    for (const sipCode of codes)
      t.equal(outcomeOfEnding({ ...rang, sipCode, cause: 0 }), outcome, String(sipCode));
});

t.test('a 408 without ringing is the trunk that did not answer', async (t) => {
  t.equal(outcomeOfEnding({ ...rang, sipCode: 408, cause: 18, progressed: false }), 'trunk_failure');
});

t.test('our own ring time is no answer, whatever cause Asterisk gives it', async (t) => {
  t.equal(outcomeOfEnding({ ...rang, sipCode: null, cause: 16, rangOut: true }), 'no_answer');
});

t.test('without a SIP code the cause decides, and an unknown one is the trunk', async (t) => {
  t.equal(outcomeOfEnding({ ...rang, sipCode: null, cause: 17 }), 'busy');
  t.equal(outcomeOfEnding({ ...rang, sipCode: null, cause: 1 }), 'bad_number');
  t.equal(outcomeOfEnding({ ...rang, sipCode: null, cause: null }), 'trunk_failure');
  t.equal(outcomeOfEnding({ ...rang, sipCode: 200, cause: 34 }), 'trunk_failure');
});

t.test('what was heard', async (t) => {
  const base = { confirmed: false, person: false, completed: false, heardMs: 0 };
  t.equal(outcomeOfListening(base), 'not_heard');
  t.equal(outcomeOfListening({ ...base, heardMs: 10 }), 'partial');
  t.equal(outcomeOfListening({ ...base, heardMs: 10, completed: true }), 'unsure');
  t.equal(outcomeOfListening({ ...base, heardMs: 10, completed: true, person: true }), 'heard');
  t.equal(outcomeOfListening({ ...base, confirmed: true, person: true }), 'confirmed');
  t.same((['confirmed', 'heard', 'partial', 'unsure', 'busy', 'not_heard'] as const).map(heardLevelOf), [
    'confirmed',
    'full',
    'partial',
    'unsure',
    'none',
    'none',
  ]);
});

t.test('603 with the word of analytics is blocked, and without it declined', async (t) => {
  t.equal(outcomeOfEnding({ ...rang, sipCode: 603, cause: 21, analyticsBlock: true }), 'blocked');
  t.equal(outcomeOfEnding({ ...rang, sipCode: 603, cause: 21 }), 'declined');
  t.equal(outcomeOfEnding({ ...rang, sipCode: 486, cause: 17, analyticsBlock: true }), 'busy');
});

t.test('a carrier that says we are too fast is not out of order', async (t) => {
  t.equal(outcomeOfEnding({ ...rang, sipCode: 503, cause: 34, rateLimited: true }), 'rate_limited');
});

t.test('the word of analytics', async (t) => {
  t.ok(
    isAnalyticsBlock(
      'Q.850;cause=21;text="v=analytics1;url=https://redress.example;email=r@redress.example"',
    ),
  );
  t.notOk(isAnalyticsBlock('Q.850;cause=21;text="Call Rejected"'));
});
