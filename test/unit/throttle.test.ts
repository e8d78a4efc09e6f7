import fc from 'fast-check';
import t from 'tap';
import { createThrottle, GUARD_MS, type Throttle } from '../../engine/domain/throttle.ts';

/** Sends as often as the throttle lets us; each timer is late, and each reply takes its time, in ms. */
function sendAll(
  rate: number,
  delays: [timer: number, reply: number][],
): { sent: number; replied: number }[] {
  const throttle = createThrottle(rate);
  const calls: { sent: number; replied: number }[] = [];
  const replies: { at: number; settle: (at: number) => void }[] = [];
  let now = 0;
  for (const [timer, reply] of delays) {
    for (;;) {
      const next = throttle.nextAt(now);
      const [settled] = replies.sort((a, b) => a.at - b.at);
      // A reply that comes first may change the time: the line asks again then.
      if (settled === undefined || settled.at > next) {
        now = next + timer;
        if (throttle.nextAt(now) <= now) break;
      } else {
        now = Math.max(now, settled.at);
        settled.settle(settled.at);
        replies.shift();
      }
    }
    const settle = throttle.take(now);
    calls.push({ sent: now, replied: now + reply });
    replies.push({ at: now + reply, settle });
  }
  return calls;
}

function takeNext(throttle: Throttle): void {
  const at = throttle.nextAt(0);
  throttle.take(at)(at);
}

const most = (times: number[], windowMs: number): number =>
  Math.max(0, ...times.map((start) => times.filter((at) => at >= start && at < start + windowMs).length));

const delay = fc.tuple(
  fc.double({ min: 0, max: 300, noNaN: true }),
  fc.double({ min: 0, max: 300, noNaN: true }),
);

t.test(
  'no sliding window has more than the cap, wherever between request and reply each INVITE left',
  async () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 60, noNaN: true }),
        fc.array(delay, { minLength: 2, maxLength: 120 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (rate, delays, where) => {
          const wire = sendAll(rate, delays)
            .map(({ sent, replied }) => sent + (replied - sent) * (where.next().value ?? 0))
            .sort((a, b) => a - b);
          const burst = Math.max(1, Math.ceil(rate));
          // What the guard is for comes on top of this.
          const windowMs = (burst / rate) * 1000 + GUARD_MS - 0.001;
          return most(wire, windowMs) <= burst && most(wire, 1000) <= burst;
        },
      ),
    );
  },
);

t.test('with prompt timers the rate is reached but for the guard', async (t) => {
  for (const rate of [0.25, 0.5, 1, 2.5, 10, 100, 400]) {
    const sent = sendAll(rate, Array(Math.ceil(rate * 20) + 2).fill([0, 0])).map((one) => one.sent);
    const span = ((sent.at(-1) ?? 0) - (sent[0] ?? 0)) / 1000;
    const reached = (sent.length - 1) / span;
    t.ok(reached <= rate * 1.0001 + 1 / span, `${rate} a second: ${reached.toFixed(3)} is not above`);
    t.ok(reached >= rate * 0.95, `${rate} a second: ${reached.toFixed(3)} is near`);
  }
});

t.test('what another process sent counts', async (t) => {
  const throttle = createThrottle(2, [0, 500]);
  t.equal(throttle.nextAt(600), 1000 + GUARD_MS);
});

t.test('the count ahead is what can then be taken', async () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.5, max: 50, noNaN: true }),
      fc.integer({ min: 0, max: 2000 }),
      (rate, horizon) => {
        const throttle = createThrottle(rate, [0]);
        const expected = throttle.countWithin(0, horizon);
        let count = 0;
        while (throttle.nextAt(0) <= horizon) {
          takeNext(throttle);
          count += 1;
        }
        return count === expected;
      },
    ),
  );
});

t.test('too early is refused', async (t) => {
  const throttle = createThrottle(1);
  throttle.take(0)(0);
  t.throws(() => throttle.take(900), RangeError);
  t.throws(() => createThrottle(0), RangeError);
});

t.test('a lowered rate holds at once', async (t) => {
  const throttle = createThrottle(10);
  for (let index = 0; index < 10; index += 1) takeNext(throttle);
  throttle.setRate(1);
  t.ok(throttle.nextAt(500) >= 225 + 1000);
});

t.test('without a reply the window does not begin to pass', async (t) => {
  const throttle = createThrottle(1);
  const replied = throttle.take(0);
  t.equal(throttle.nextAt(5_000), 5_000 + 1000 + GUARD_MS);
  replied(4_000);
  t.equal(throttle.nextAt(5_000), 5_000 + GUARD_MS);
});

t.test('a rate that is lowered and raised again does not forget what was sent', async (t) => {
  const throttle = createThrottle(10);
  for (let index = 0; index < 10; index += 1) takeNext(throttle);
  throttle.setRate(1);
  throttle.setRate(10);
  t.ok(throttle.nextAt(600) >= 1000);
});

t.test('what an earlier owner asked for counts as now until it is known to have left', async (t) => {
  const throttle = createThrottle(2, [0]);
  const left = throttle.owe(100);
  takeNext(throttle);
  t.equal(throttle.nextAt(5_000), 5_000 + 1000 + GUARD_MS);
  left(5_000);
  t.ok(throttle.nextAt(5_000) <= 6_000 + GUARD_MS);
});
