import { setImmediate } from 'node:timers/promises';

/** Zero crossings of the filter on each side: more is steeper and slower. */
const CROSSINGS = 12;
/** Middle of the slope, as a part of the lower Nyquist frequency: 3.8 kHz of 4 kHz. */
const PASS = 0.95;
/** Samples between two breaths of the event loop: a second of audio, about 4 ms of work. */
const BLOCK = 8_000;

/**
 * Resamples by a polyphase windowed sinc. Our own rather than sox: fifty lines without a process, a
 * file or a version that may differ between machines whose prompts are compared by hash. Lets the event loop
 * breathe between blocks, since calls may be going on in the same process.
 */
export async function resample(samples: Float32Array, from: number, to: number): Promise<Float32Array> {
  if (from === to) return samples;
  const step = from / to;
  const phases = to / greatestCommonDivisor(from, to);
  const filters = Array.from({ length: phases }, (_, phase) => sincFilter((phase * step) % 1, from, to));
  const half = (filters[0]?.length ?? 0) / 2;
  // Silence on both sides, so that the inner loop needs no question.
  const padded = new Float64Array(samples.length + 2 * half);
  padded.set(samples, half);
  const output = new Float32Array(Math.ceil(samples.length / step));
  for (let start = 0; start < output.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, output.length);
    for (let i = start; i < end; i += 1) {
      output[i] = dotProduct(filters[i % phases] as Float64Array, padded, Math.floor((i * from) / to) + 1);
    }
    await setImmediate();
  }
  return output;
}

function dotProduct(filter: Float64Array, samples: Float64Array, first: number): number {
  let sum = 0;
  for (let tap = 0; tap < filter.length; tap += 1) {
    sum += (filter[tap] as number) * (samples[first + tap] as number);
  }
  return sum;
}

/** Taps around a point that lies `fraction` of a sample after the middle one; Hamming window, gain 1. */
function sincFilter(fraction: number, from: number, to: number): Float64Array {
  const cutoff = PASS * Math.min(1, to / from);
  const half = Math.ceil(CROSSINGS / cutoff);
  const taps = Float64Array.from({ length: 2 * half }, (_, tap) => {
    const distance = tap - half + 1 - fraction;
    const x = Math.PI * cutoff * distance;
    const angle = Math.PI * Math.min(1, Math.abs(distance) / half);
    const window = 0.54 + 0.46 * Math.cos(angle);
    return (x === 0 ? 1 : Math.sin(x) / x) * window;
  });
  const gain = taps.reduce((sum, tap) => sum + tap, 0);
  return taps.map((tap) => tap / gain);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
