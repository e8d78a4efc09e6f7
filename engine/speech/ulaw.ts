/** G.711 µ-law (ITU-T G.711, table 2), the codec of trunks in North America: one byte per sample. */

/** Added before the logarithm, so that the segments are powers of two. */
const BIAS = 0x84;
const CLIP = 0x7fff - BIAS;

/** Samples −1 to 1 to µ-law bytes. What is beyond full scale is clipped. */
export function encodeUlaw(samples: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(samples.length);
  for (let i = 0; i < samples.length; i += 1) bytes[i] = encodeSample(Math.round((samples[i] ?? 0) * 32_768));
  return bytes;
}

/** One 16-bit sample: sign, segment (3 bits) and step (4 bits), all inverted on the line. */
function encodeSample(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(Math.abs(sample), CLIP) + BIAS;
  const segment = 31 - Math.clz32(size) - 7;
  const step = (size >> (segment + 3)) & 0x0f;
  return ~(sign | (segment << 4) | step) & 0xff;
}

/** µ-law bytes to samples −1 to 1, each in the middle of its step. */
export function decodeUlaw(bytes: Buffer): Float32Array {
  return Float32Array.from(bytes, (byte) => {
    const code = ~byte & 0xff;
    const size = (((code & 0x0f) << 3) + BIAS) << ((code >> 4) & 0x07);
    return (code & 0x80 ? BIAS - size : size - BIAS) / 32_768;
  });
}
