/** What the receiver wrote, and the gaps in it. */
import t from 'tap';
import { gapsOf, reportGaps } from '../../bench/measure/gaps.ts';
import { type Arrival, parseArrivals, parseRtp } from '../../bench/measure/rtp.ts';

function packet(sequence: number, ssrc: number, { first = 0x80, type = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(first, 0);
  bytes.writeUInt8(type, 1);
  bytes.writeUInt16BE(sequence, 2);
  bytes.writeUInt32BE(ssrc, 8);
  return bytes;
}
function record(header: Buffer, seconds: bigint, micros: bigint): Buffer {
  const stamp = Buffer.alloc(16);
  stamp.writeBigInt64LE(seconds, 0);
  stamp.writeBigInt64LE(micros, 8);
  return Buffer.concat([header, stamp]);
}
const stream = (ssrc: number, sequences: number[], everyMs = 20): Arrival[] =>
  sequences.map((sequence, index) => ({ ssrc, sequence, atMs: index * everyMs }));

t.test('an RTP header', async (t) => {
  t.same(parseRtp(packet(65_535, 0xdeadbeef, { type: 0x80 })), {
    ssrc: 0xdeadbeef,
    sequence: 65_535,
    payloadType: 0,
  });
  t.equal(parseRtp(packet(1, 1, { first: 0x40 })), undefined, 'another version');
  t.equal(parseRtp(packet(1, 1, { type: 200 })), undefined, 'RTCP');
  t.equal(parseRtp(Buffer.alloc(4)), undefined, 'a keep-alive');
});

t.test("the receiver's file", async (t) => {
  const file = Buffer.concat([
    record(packet(7, 42), 1_700_000_000n, 250_500n),
    record(packet(8, 42, { type: 200 }), 1_700_000_000n, 260_000n),
    record(packet(8, 42), 1_700_000_001n, 0n).subarray(0, 20),
  ]);
  t.same(
    parseArrivals(file),
    [{ ssrc: 42, sequence: 7, atMs: 1_700_000_000_250.5 }],
    'RTCP and a cut end left out',
  );
});

t.test('gaps and losses of a stream', async (t) => {
  t.same(gapsOf(stream(1, [1, 2, 3])), { gaps: [20, 20], lost: 0 });
  t.equal(gapsOf(stream(1, [1, 2, 5])).lost, 2);
  t.equal(gapsOf(stream(1, [65_534, 65_535, 0, 1])).lost, 0, 'sequence numbers go round');
  t.equal(gapsOf(stream(1, [1, 3, 2, 4])).lost, 0, 'late is not lost');
  t.equal(gapsOf(stream(1, [1, 2, 2, 3])).lost, 0, 'twice is not lost');
});

t.test('all streams together', async (t) => {
  const steady = Array.from({ length: 100 }, (_, index) => index);
  const slow = stream(2, steady, 30);
  const report = reportGaps([...stream(1, steady), ...slow, ...stream(3, [1, 2])]);
  t.match(report, { streams: 2, packets: 200, lost: 0, p50: 20, max: 30 }, 'a stray packet is no stream');
});
