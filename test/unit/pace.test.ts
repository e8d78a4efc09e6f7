import fc from 'fast-check';
import t from 'tap';
import { createPace } from '../../engine/domain/pace.ts';

t.test('halves at most once a second, to a tenth, and climbs a tenth every 5 s', async (t) => {
  const pace = createPace(40);
  t.equal(pace.rate(0), 40);
  pace.limited(1_000);
  pace.limited(1_500);
  pace.limited(1_999);
  t.equal(pace.rate(1_999), 20);
  pace.limited(2_000);
  t.equal(pace.rate(2_000), 10);
  pace.limited(3_000);
  pace.limited(4_000);
  pace.limited(5_000);
  t.equal(pace.rate(5_000), 4);
  t.equal(pace.rate(9_999), 4);
  t.equal(pace.rate(10_000), 8);
  t.equal(pace.rate(49_999), 36);
  t.equal(pace.rate(50_000), 40);
  t.equal(pace.rate(500_000), 40);
});

t.test('a limit within the same second makes the climb wait', async (t) => {
  const pace = createPace(10);
  pace.limited(0);
  pace.limited(900);
  t.equal(pace.rate(5_000), 5);
  t.equal(pace.rate(5_900), 6);
});

t.test('a new configured rate keeps the share', async (t) => {
  const pace = createPace(10);
  pace.limited(0);
  pace.setConfigured(100);
  t.equal(pace.rate(0), 50);
  t.equal(pace.rate(5_000), 60);
  t.throws(() => pace.setConfigured(0), RangeError);
  t.throws(() => createPace(Number.NaN), RangeError);
});

t.test('always between a tenth and all of the configured rate, and all of it again after 45 s', async () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 500, noNaN: true }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 12_000 }), fc.boolean()), { maxLength: 100 }),
      (configured, steps) => {
        const pace = createPace(configured);
        let now = 0;
        const halvings: number[] = [];
        for (const [wait, limited] of steps) {
          now += wait;
          const before = pace.rate(now);
          if (limited) pace.limited(now);
          const after = pace.rate(now);
          if (after > configured || after < configured * 0.0999999) return false;
          if (!limited && after !== before) return false;
          if (after < before) {
            if (after < before * 0.4999999) return false;
            halvings.push(now);
          }
        }
        const farApart = halvings.every((at, index) => at - (halvings[index - 1] ?? -1_000) >= 1_000);
        return farApart && pace.rate(now + 45_000) > configured * 0.999999;
      },
    ),
  );
});
