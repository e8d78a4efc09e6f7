/** What the receiver writes per packet: the first 12 bytes of RTP, then the kernel's time of arrival. */
export const RECORD_BYTES = 28;

/** One RTP packet as it arrived. */
export interface Arrival {
  /** The stream: its synchronisation source. */
  ssrc: number;
  sequence: number;
  /** Epoch ms, with fractions, by the kernel that took it in. */
  atMs: number;
}

/** What is said of all streams together. */
export interface GapReport {
  streams: number;
  packets: number;
  lost: number;
  /** Between two packets of one stream that followed each other, in ms. */
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** Reads one RTP header (RFC 3550, 5.1); undefined for anything else, such as RTCP or a keep-alive. */
export function parseRtp(bytes: Buffer): { ssrc: number; sequence: number; payloadType: number } | undefined {
  if (bytes.length < 12 || bytes.readUInt8(0) >> 6 !== 2) return undefined;
  const payloadType = bytes.readUInt8(1) & 0x7f;
  // RTCP's packet types look like payload types 72 to 76 (RFC 5761).
  if (payloadType >= 72 && payloadType <= 76) return undefined;
  return { ssrc: bytes.readUInt32BE(8), sequence: bytes.readUInt16BE(2), payloadType };
}

/** Reads the receiver's file: per packet an RTP header and two 64-bit words, seconds and microseconds. */
export function parseArrivals(file: Buffer): Arrival[] {
  const arrivals: Arrival[] = [];
  for (let at = 0; at + RECORD_BYTES <= file.length; at += RECORD_BYTES) {
    const header = parseRtp(file.subarray(at, at + 12));
    if (header === undefined) continue;
    const seconds = Number(file.readBigInt64LE(at + 12));
    const micros = Number(file.readBigInt64LE(at + 20));
    arrivals.push({ ssrc: header.ssrc, sequence: header.sequence, atMs: seconds * 1000 + micros / 1000 });
  }
  return arrivals;
}
