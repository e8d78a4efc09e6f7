import { RollcallError } from '../errors.ts';

export interface Pcm {
  /** Samples per second. */
  rate: number;
  /** −1 to 1. */
  samples: Float32Array;
}

/** What programs that stream write as the size, since they do not know it yet: 0, or from here upwards. */
const UNKNOWN_SIZE = 0x7fff_0000;

/**
 * Reads a 16-bit mono WAV. Throws SPEECH_FAILED for anything else, and for one that is shorter than its
 * header says: flite exits with 0 after a full disk, and half a message must not be played as a whole one.
 */
export function parseWav(wav: Buffer): Pcm {
  if (
    wav.length < 12 ||
    wav.toString('latin1', 0, 4) !== 'RIFF' ||
    wav.toString('latin1', 8, 12) !== 'WAVE'
  ) {
    throw unusable('is not a WAV file');
  }
  let rate = 0;
  // Chunks: four letters, size, content, padded to an even length.
  for (let at = 12; at + 8 <= wav.length; ) {
    const chunk = wav.toString('latin1', at, at + 4);
    const size = wav.readUInt32LE(at + 4);
    const start = at + 8;
    if (chunk === 'fmt ') rate = readFormat(wav.subarray(start, start + size));
    if (chunk === 'data') {
      if (rate === 0) throw unusable('has its samples before their format');
      const rest = wav.length - start;
      const streamed = size === 0 || size >= UNKNOWN_SIZE;
      if (!streamed && size > rest) throw unusable('ends before its end; is the disk full?');
      return { rate, samples: readSamples(wav.subarray(start, start + (streamed ? rest : size))) };
    }
    at = start + size + (size % 2);
  }
  throw unusable('has no samples');
}

function readFormat(format: Buffer): number {
  if (format.length < 16) throw unusable('has a damaged header');
  const coding = format.readUInt16LE(0);
  const channels = format.readUInt16LE(2);
  const rate = format.readUInt32LE(4);
  const bits = format.readUInt16LE(14);
  // 0xfffe: "extensible", which repeats the same facts further on.
  if ((coding !== 1 && coding !== 0xfffe) || channels !== 1 || bits !== 16) {
    throw unusable(`is not 16-bit mono PCM (coding ${coding}, ${channels} channels, ${bits} bits)`);
  }
  if (rate < 8_000 || rate > 48_000)
    throw unusable(`has ${rate} samples a second; 8,000 to 48,000 are understood`);
  return rate;
}

function readSamples(data: Buffer): Float32Array {
  const samples = new Float32Array(data.length >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = data.readInt16LE(i * 2) / 32_768;
  return samples;
}

function unusable(what: string): RollcallError {
  return new RollcallError('SPEECH_FAILED', `The audio that the voice made ${what}`);
}
