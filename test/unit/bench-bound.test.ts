/** The shortest time in which a broadcast can be done. */
import t from 'tap';
import { channelBoundMs, type Held, idealMs, rateBoundMs } from '../../bench/measure/bound.ts';

const call = (number: string, inviteAt: number, endedAt: number): Held => ({ number, inviteAt, endedAt });
const many = (count: number, holdMs: number): Held[] =>
  Array.from({ length: count }, (_, index) => call(String(index), index, index + holdMs));

t.test('calls per second: the first second is full at once', async (t) => {
  t.equal(rateBoundMs(100, 10), 9_000);
  t.equal(rateBoundMs(10, 10), 0, 'fewer than a second takes');
  t.equal(rateBoundMs(3, 0.5), 4_000, 'one in two seconds');
});

t.test('channels: every one busy all the time', async (t) => {
  t.equal(channelBoundMs(many(100, 5_000), 10), 50_000);
});

t.test('the ideal dialer meets both bounds', async (t) => {
  const caps = (maxChannels: number, callsPerSecond: number) => ({ maxChannels, callsPerSecond });
  t.equal(idealMs(many(100, 5_000), caps(10, 1_000), 0), 50_000, 'channels bind');
  t.equal(
    idealMs(many(100, 500), caps(100, 10), 0),
    9_000 + 500,
    'calls per second bind: the last INVITE and its hold',
  );
  t.equal(idealMs(many(4, 1_000), caps(100, 0.5), 0), 6_000 + 1_000, 'a fraction of a call per second');
  t.equal(idealMs([], caps(1, 1), 0), 0);
});

t.test('a retry comes its delay after the end before it, and goes before new calls', async (t) => {
  const caps = { maxChannels: 1, callsPerSecond: 100 };
  const attempts = [
    call('a', 0, 100),
    call('a', 5_000, 5_100),
    call('b', 200, 1_200),
    call('c', 1_300, 2_300),
  ];
  // a 0-100, b 100-1100, a again due at 600 and before c: 1100-1200, c 1200-2200
  t.equal(idealMs(attempts, caps, 500), 2_200);
  t.equal(
    idealMs([call('a', 0, 100), call('a', 9_000, 9_100)], caps, 2_000),
    2_200,
    'nothing else to do meanwhile',
  );
});
