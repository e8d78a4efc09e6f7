import fc from 'fast-check';
import t from 'tap';
import { createWindow, type OverloadWindow } from '../../engine/domain/overload.ts';

/** Answers of the same latency, one every 10 ms. */
function answers(window: OverloadWindow, from: number, count: number, latencyMs: number): number {
  for (let index = 0; index < count; index += 1) window.feed(from + index * 10, { latencyMs });
  return from + count * 10;
}

t.test('grows by one a good answer, falls by a third while slow, and recovers', async (t) => {
  const window = createWindow();
  t.equal(window.limit, 16);
  let now = answers(window, 0, 10, 20);
  t.equal(window.limit, 26);
  now = answers(window, now, 100, 20);
  t.equal(window.limit, 64);
  now = answers(window, now, 100, 900);
  t.ok(window.limit <= 22, `after a second of slow answers: ${window.limit}`);
  now = answers(window, now, 300, 900);
  t.equal(window.limit, 2);
  now = answers(window, now, 100, 20);
  t.equal(window.limit, 64);
});

t.test('at most once in 250 ms', async (t) => {
  const window = createWindow();
  for (const at of [0, 10, 100, 249]) window.feed(at, { eventLoopMs: 200 });
  t.equal(window.limit, 11);
  window.feed(250, { eventLoopMs: 200 });
  t.equal(window.limit, 7);
});

t.test(
  'a long task queue or a late event loop stops the growth until it is over, or nobody measures it',
  async (t) => {
    const window = createWindow();
    window.feed(0, { backlog: 201 });
    answers(window, 0, 20, 10);
    t.equal(window.limit, 11);
    window.feed(300, { backlog: 200 });
    t.equal(window.limit, 11);
    answers(window, 300, 5, 10);
    t.equal(window.limit, 16);
    window.feed(1_000, { eventLoopMs: 151 });
    window.feed(7_000, { latencyMs: 10 });
    t.equal(window.limit, 12);
  },
);

t.test('one slow answer among good ones is nothing', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 60_000 }),
      fc.integer({ min: 0, max: 30 }),
      (usual, slow, before) => {
        const window = createWindow();
        let now = answers(window, 0, before, usual);
        const limit = window.limit;
        window.feed(now, { latencyMs: slow });
        if (window.limit < limit) return false;
        now = answers(window, now + 10, 60, usual);
        return window.limit === 64;
      },
    ),
  );
});

t.test('always a whole number from 2 to 64', async () => {
  const measured = (max: number) => fc.option(fc.integer({ min: 0, max }), { nil: undefined });
  const sample = fc.record({
    latencyMs: measured(3_000),
    eventLoopMs: measured(300),
    backlog: measured(400),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 500 }), sample), { maxLength: 300 }), (steps) => {
      const window = createWindow();
      let now = 0;
      for (const [wait, { latencyMs, eventLoopMs, backlog }] of steps) {
        now += wait;
        window.feed(now, {
          ...(latencyMs === undefined ? {} : { latencyMs }),
          ...(eventLoopMs === undefined ? {} : { eventLoopMs }),
          ...(backlog === undefined ? {} : { backlog }),
        });
        if (!Number.isInteger(window.limit) || window.limit < 2 || window.limit > 64) return false;
      }
      return true;
    }),
  );
});
