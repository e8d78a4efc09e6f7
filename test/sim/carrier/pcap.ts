/** One RTP packet of a pcap file. */
export interface Packet {
  atMs: number;
  payloadType: number;
  marker: boolean;
  /** RTP time stamp, 8000 a second. */
  timestamp: number;
  payload: Buffer;
}

const packetMs = 20;
const perMs = 8;
const telephoneEvent = 101;

/** @returns u-law audio cut into packets of 20 ms, the last one filled up with silence. */
export function speechPackets(ulaw: Buffer, startMs: number): Packet[] {
  const size = packetMs * perMs;
  return Array.from({ length: Math.ceil(ulaw.length / size) }, (_, index) => {
    const payload = Buffer.alloc(size, 0xff);
    ulaw.copy(payload, 0, index * size, (index + 1) * size);
    const atMs = startMs + index * packetMs;
    return { atMs, payloadType: 0, marker: index === 0, timestamp: atMs * perMs, payload };
  });
}

/** @returns one key press of 100 ms after RFC 4733: five updates, the end said three times. */
export function digitPackets(digit: string, startMs: number): Packet[] {
  const event = '0123456789*#'.indexOf(digit);
  const steps = [1, 2, 3, 4, 5, 5, 5];
  return steps.map((step, index) => {
    const ended = index >= 4;
    const payload = Buffer.from([event, (ended ? 0x80 : 0) | 10, 0, 0]);
    payload.writeUInt16BE(step * packetMs * perMs, 2);
    return {
      // The repeated ends follow at once, so that a digit takes 100 ms as a whole.
      atMs: startMs + Math.min(step, 5) * packetMs + Math.max(0, index - 4),
      payloadType: telephoneEvent,
      marker: index === 0,
      timestamp: startMs * perMs,
      payload,
    };
  });
}

/**
 * @returns a pcap file (Ethernet, IPv4, UDP, RTP). SIPp replaces addresses, ports and checksums, and
 *   keeps the times between the packets.
 */
export function writePcap(packets: readonly Packet[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  return Buffer.concat([header, ...packets.map(frame)]);
}

function frame({ atMs, payloadType, marker, timestamp, payload }: Packet, sequence: number): Buffer {
  const head = Buffer.alloc(16 + 14 + 20 + 8 + 12);
  const length = head.length - 16 + payload.length;
  // Record: seconds, microseconds, length in the file, length on the wire
  head.writeUInt32LE(Math.floor(atMs / 1000), 0);
  head.writeUInt32LE((atMs % 1000) * 1000, 4);
  head.writeUInt32LE(length, 8);
  head.writeUInt32LE(length, 12);
  // Ethernet: type IPv4
  head.writeUInt16BE(0x0800, 28);
  // IPv4: version and header length, total length, time to live, protocol UDP, loopback addresses
  head.writeUInt8(0x45, 30);
  head.writeUInt16BE(length - 14, 32);
  head.writeUInt8(64, 38);
  head.writeUInt8(17, 39);
  head.writeUInt32BE(0x7f000001, 42);
  head.writeUInt32BE(0x7f000001, 46);
  // UDP: ports, length
  head.writeUInt16BE(4000, 50);
  head.writeUInt16BE(4000, 52);
  head.writeUInt16BE(length - 34, 54);
  // RTP: version 2, marker and payload type, sequence, time stamp, source
  head.writeUInt8(0x80, 58);
  head.writeUInt8((marker ? 0x80 : 0) | payloadType, 59);
  head.writeUInt16BE(sequence + 1, 60);
  head.writeUInt32BE(timestamp, 62);
  head.writeUInt32BE(0x524f4c4c, 66);
  return Buffer.concat([head, payload]);
}
