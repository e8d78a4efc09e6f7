import { mock } from 'node:test';
import t from 'tap';
import { createLine, type Line, type QueuedCall } from '../../engine/dialer/line.ts';
import type { TrunkLine } from '../../engine/domain/ledger.ts';

const TRUNK: TrunkLine = {
  id: '1',
  name: 'carrier',
  revision: 1,
  maxChannels: 10,
  callsPerSecond: 10,
  numberFormat: 'e164',
  numberPrefix: null,
  allowedPrefixes: null,
  callerId: null,
  priority: 1,
  weight: 1,
  state: 'active',
};

/** A line on a clock that the test moves; `sent` and `back` hold the times of each call's fate. */
function scene(t: { teardown(after: () => void): void }, trunk: Partial<TrunkLine> = {}) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  let time = 0;
  let ours = true;
  const now = () => time;
  const line = createLine(
    { ...TRUNK, ...trunk },
    { now, sentAt: [], guardMs: 20, isOurs: () => ours, onFree: () => undefined },
  );
  line.unhold();
  const sent: number[] = [];
  const back: number[] = [];
  const call = (readiness: () => 'now' | 'later' | 'never' = () => 'now'): QueuedCall => ({
    readiness,
    send: async () => {
      sent.push(time);
      return time;
    },
    giveBack: () => void back.push(time),
  });
  const pass = async (ms: number) => {
    for (const until = time + ms; time < until; ) {
      time += 1;
      mock.timers.tick(1);
      // Lets a call that was sent say that its INVITE has left.
      for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
    }
  };
  const lose = () => {
    ours = false;
  };
  return { line, sent, back, call, pass, lose, now };
}

const fill = (line: Line, time: number, make: () => QueuedCall): number => {
  const room = line.room(time);
  for (let count = 0; count < room; count += 1) line.enqueue(make());
  return room;
};

t.test('permits, then channels: never more than both allow', async (t) => {
  const { line, sent, call, pass, now } = scene(t, { maxChannels: 4 });
  for (let turn = 0; turn < 40; turn += 1) {
    fill(line, now(), call);
    await pass(50);
  }
  t.equal(sent.length, 4, 'the channels are in use');
  line.freeChannel('worked', sent[0] ?? 0);
  t.equal(fill(line, now(), call), 1);
});

t.test('a trunk that is lost, paused or refused sends nothing more, and gives back what waits', async (t) => {
  for (const end of ['lost', 'paused', 'refused'] as const) {
    const { line, sent, back, call, pass, lose, now } = scene(t, { callsPerSecond: 100, maxChannels: 100 });
    const claimed = fill(line, now(), call);
    t.ok(claimed > 5);
    await pass(20);
    const before = sent.length;
    if (end === 'lost') lose();
    else line.update({ ...line.trunk, state: end });
    await pass(500);
    t.equal(sent.length, before, end);
    t.equal(sent.length + back.length, claimed, 'none is lost');
    t.equal(line.room(now()), 0);
    mock.timers.reset();
  }
});

t.test(
  'a call whose node is gone is given back, one whose node is busy waits until it is poked',
  async (t) => {
    const { line, sent, back, call, pass, now } = scene(t);
    line.enqueue(call(() => 'never'));
    t.same([sent.length, back.length, line.inUse], [0, 1, 0]);
    let busy = true;
    line.enqueue(call(() => (busy ? 'later' : 'now')));
    await pass(300);
    t.equal(sent.length, 0);
    busy = false;
    line.poke();
    t.equal(sent.length, 1);
    busy = true;
    line.enqueue(call(() => (busy ? 'later' : 'now')));
    await pass(2_500);
    t.same([sent.length, back.length], [1, 2], 'and not for ever: its claim is of another time by then');
    t.equal(line.room(now()) > 0, true);
  },
);

t.test('a trunk that fails is left alone, and tried with one call', async (t) => {
  const { line, sent, back, call, pass, now } = scene(t, { callsPerSecond: 50, maxChannels: 50 });
  for (let failures = 0; failures < 5; failures += 1) {
    line.enqueue(call());
    await pass(100);
    line.freeChannel('failed', sent.at(-1) ?? 0);
  }
  t.equal(line.breaker(now()), 'open');
  t.equal(line.room(now()), 0);
  line.enqueue(call());
  t.equal(back.length, 1, 'what was claimed a moment ago goes back');
  await pass(5_100);
  t.equal(line.breaker(now()), 'half_open');
  t.equal(fill(line, now(), call), 1);
  await pass(50);
  t.equal(fill(line, now(), call), 0, 'one at a time');
  line.worked(sent.at(-1) ?? 0);
  line.freeChannel('told', sent.at(-1) ?? 0);
  fill(line, now(), call);
  await pass(50);
  line.worked(sent.at(-1) ?? 0);
  t.equal(line.breaker(now()), 'closed');
  t.ok(line.room(now()) > 1);
});

t.test('a carrier that says we are too fast gets half, and then more again', async (t) => {
  const { line, sent, call, pass, now } = scene(t, { callsPerSecond: 20, maxChannels: 1_000 });
  const rateOver = async (ms: number) => {
    const before = sent.length;
    for (const until = now() + ms; now() < until; await pass(25)) fill(line, now(), call);
    return ((sent.length - before) * 1000) / ms;
  };
  t.ok((await rateOver(3_000)) > 18);
  line.freeChannel('rate_limited', now());
  const halved = await rateOver(3_000);
  t.ok(halved > 8 && halved <= 10.5, `${halved} a second`);
  await pass(25_000);
  t.ok((await rateOver(3_000)) > 18);
});
