import fc from 'fast-check';
import t from 'tap';
import { BREAKER_RULES, type Breaker, createBreaker } from '../../engine/domain/breaker.ts';

const REFUSED = { timeout: false };
const TIMEOUT = { timeout: true };

/** One call at `now` that ends at once. */
function call(breaker: Breaker, now: number, result: 'good' | 'refused' | 'timeout'): void {
  breaker.began(now);
  if (result === 'good') breaker.succeeded(now, now);
  else breaker.failed(now, { timeout: result === 'timeout' }, now);
}

/** A breaker that opened at 0. */
function opened(): Breaker {
  const breaker = createBreaker();
  for (let index = 0; index < 5; index += 1) call(breaker, 0, 'refused');
  return breaker;
}

t.test('what opens it', async (t) => {
  const table: [string, ('good' | 'refused' | 'timeout')[], 'open' | 'closed'][] = [
    ['five failures in a row', Array(5).fill('refused'), 'open'],
    ['four', Array(4).fill('refused'), 'closed'],
    ['four and a success', [...Array(4).fill('refused'), 'good', 'refused'], 'closed'],
    ['three time-outs', Array(3).fill('timeout'), 'open'],
    ['two time-outs', Array(2).fill('timeout'), 'closed'],
    ['time-outs with another failure between', ['timeout', 'timeout', 'refused', 'timeout'], 'closed'],
    ['every second of ten', Array(5).fill(['good', 'refused']).flat(), 'open'],
    ['every second of nine', [...Array(4).fill(['good', 'refused']).flat(), 'good'], 'closed'],
    ['every third of thirty', Array(10).fill(['good', 'good', 'refused']).flat(), 'closed'],
  ];
  for (const [name, results, state] of table) {
    const breaker = createBreaker();
    results.forEach((result, index) => {
      call(breaker, index * 100, result);
    });
    t.equal(breaker.state(results.length * 100), state, name);
    t.equal(breaker.mayCall(results.length * 100), state === 'closed', name);
  }
});

t.test('failures that are half a minute apart are not the last results', async (t) => {
  const breaker = createBreaker();
  for (let index = 0; index < 40; index += 1) call(breaker, index * 4_000, index % 2 ? 'refused' : 'good');
  t.equal(breaker.state(160_000), 'closed');
});

t.test('open for 5 s, doubling to 60, until two successes in a row', async (t) => {
  const breaker = opened();
  let now = 0;
  for (const openMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
    t.equal(breaker.nextChangeMs(now), openMs);
    t.equal(breaker.state(now + openMs - 1), 'open');
    now += openMs;
    t.equal(breaker.state(now), 'half_open');
    t.equal(breaker.nextChangeMs(now), null);
    call(breaker, now, 'good');
    t.equal(breaker.state(now), 'half_open', 'one is not enough');
    call(breaker, now, 'refused');
    t.equal(breaker.state(now), 'open', 'one failure is');
  }
  now += 60_000;
  call(breaker, now, 'good');
  call(breaker, now, 'good');
  t.equal(breaker.state(now), 'closed');
  for (let index = 0; index < 3; index += 1) call(breaker, now, 'timeout');
  t.equal(breaker.nextChangeMs(now), 5_000, 'it begins anew');
});

t.test('half open: one at a time, and one that says nothing makes room for the next', async (t) => {
  const breaker = opened();
  t.ok(breaker.mayCall(5_000));
  breaker.began(5_000);
  t.notOk(breaker.mayCall(6_000));
  breaker.ended(6_500, 5_000);
  t.ok(breaker.mayCall(6_500));
  t.equal(breaker.state(6_500), 'half_open');
});

t.test('late results of calls from before change nothing', async (t) => {
  const breaker = createBreaker();
  for (let index = 0; index < 10; index += 1) breaker.began(index);
  for (let index = 0; index < 3; index += 1) breaker.failed(20, TIMEOUT, index);
  t.equal(breaker.state(20), 'open');
  breaker.succeeded(30, 3);
  breaker.succeeded(31, 4);
  t.equal(breaker.state(31), 'open');
  breaker.succeeded(5_100);
  breaker.succeeded(5_100);
  t.equal(breaker.state(5_100), 'half_open', 'no call is on its way, whoever says so');
  breaker.began(5_200);
  breaker.succeeded(5_300, 5);
  breaker.succeeded(5_300, 6);
  breaker.failed(5_300, TIMEOUT, 7);
  breaker.ended(5_300, 8);
  t.equal(breaker.state(5_300), 'half_open');
  t.notOk(breaker.mayCall(5_300), 'the one on its way is still awaited');
  breaker.succeeded(5_400, 5_200);
  call(breaker, 5_500, 'good');
  t.equal(breaker.state(5_500), 'closed');
  for (let index = 0; index < 9; index += 1) breaker.failed(5_600, TIMEOUT, 9);
  t.equal(breaker.state(5_600), 'closed', 'nor do they open it again');
});

t.test('OPTIONS without an answer keep it open, with an answer it is tried', async (t) => {
  const breaker = createBreaker();
  breaker.force(false, 0);
  t.equal(breaker.state(0), 'closed');
  breaker.began(50);
  breaker.force(true, 100);
  breaker.force(true, 200);
  t.equal(breaker.state(10_000_000), 'open');
  t.equal(breaker.nextChangeMs(200), null);
  breaker.succeeded(300, 50);
  breaker.force(false, 400);
  t.equal(breaker.state(400), 'half_open');
  breaker.failed(400, REFUSED, 50);
  t.equal(breaker.state(400), 'half_open');
  call(breaker, 500, 'good');
  call(breaker, 600, 'good');
  t.equal(breaker.state(600), 'closed');
  const failing = opened();
  failing.force(false, 1_000);
  t.equal(failing.state(1_000), 'open', 'being reachable is not being well');
  failing.force(true, 2_000);
  t.equal(failing.state(60_000), 'open');
});

type Step =
  | { do: 'wait'; ms: number }
  | { do: 'call' }
  | { do: 'end'; which: number; how: 'good' | 'refused' | 'timeout' | 'neither' }
  | { do: 'force'; open: boolean };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('call' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(20),
      how: fc.constantFrom('good', 'refused', 'timeout', 'neither'),
    }),
  },
  fc.record({ do: fc.constant('force' as const), open: fc.boolean() }),
);

t.test(
  'whatever happens: one call at most half open, none open, and no close without its own successes',
  async (t) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const breaker = createBreaker();
        const live: { beganAt: number; halfOpen: boolean }[] = [];
        let now = 0;
        let ownSuccesses = 0;
        let before = breaker.state(0);
        for (const one of steps) {
          let success = false;
          if (one.do === 'wait') now += one.ms;
          if (one.do === 'force') breaker.force(one.open, now);
          if (one.do === 'call' && breaker.mayCall(now)) {
            t.not(breaker.state(now), 'open');
            live.push({ beganAt: now, halfOpen: breaker.state(now) === 'half_open' });
            breaker.began(now);
            now += 1;
          }
          if (one.do === 'end' && live.length > 0) {
            const [ended] = live.splice(one.which % live.length, 1);
            if (ended === undefined) continue;
            success = one.how === 'good' && ended.halfOpen;
            if (one.how === 'good') breaker.succeeded(now, ended.beganAt);
            else if (one.how === 'neither') breaker.ended(now, ended.beganAt);
            else breaker.failed(now, { timeout: one.how === 'timeout' }, ended.beganAt);
          }
          const after = breaker.state(now);
          if (after === 'half_open' && before !== 'half_open') {
            ownSuccesses = 0;
            for (const call of live) call.halfOpen = false;
          }
          if (success) ownSuccesses += 1;
          if (after === 'closed' && before !== 'closed' && (before !== 'half_open' || ownSuccesses < 2))
            return false;
          if (after === 'half_open' && live.filter((call) => call.halfOpen).length > 1) return false;
          const wait = breaker.nextChangeMs(now);
          if (wait !== null && (wait < 0 || wait > BREAKER_RULES.maxOpenMs)) return false;
          before = after;
        }
        return true;
      }),
      { numRuns: 500 },
    );
  },
);
