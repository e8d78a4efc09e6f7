/**
 * Loudness of telephone speech. Levels are RMS in dBFS, where a square wave at full scale is 0. Samples are
 * −1 to 1 at 8 kHz.
 */

/** Above the −26 dBov of ITU-T P.56 practice: a handset at arm's length in a kitchen. */
export const TARGET_DBFS = -20;

const RATE = 8_000;
const HIGH_PASS_HZ = 300;
const FRAME = RATE / 50; // 20 ms
/** Quieter than this is never speech. */
const FLOOR_DBFS = -55;
/** A frame this far below the speech's mean is a pause (as in ITU-T P.56: 15.9 dB). */
const GATE_DB = 16;
/** Kept around the speech, so that a soft first or last consonant is not cut. */
const LEAD = RATE * 0.05;
const TAIL = RATE * 0.15;
/** Below this the limiter does nothing; CEILING is never passed. */
const KNEE = 0.7;
const CEILING = 0.95;

/**
 * Removes what a telephone does not carry, below 300 Hz (ITU-T G.712): up to half of a synthetic voice's power
 * lies there, and levelled together with it the part that is heard would be 3 dB too quiet.
 */
export function highPass(samples: Float32Array): Float32Array {
  // Fourth-order Butterworth as two sections.
  return [0.5412, 1.3066].reduce(highPassSection, samples);
}

/** One second-order section (Audio EQ Cookbook). */
function highPassSection(samples: Float32Array, q: number): Float32Array {
  const omega = (2 * Math.PI * HIGH_PASS_HZ) / RATE;
  const alpha = Math.sin(omega) / (2 * q);
  const cos = Math.cos(omega);
  const b0 = (1 + cos) / 2 / (1 + alpha);
  const a1 = (-2 * cos) / (1 + alpha);
  const a2 = (1 - alpha) / (1 + alpha);
  const output = new Float32Array(samples.length);
  let [x1, x2, y1, y2] = [0, 0, 0, 0];
  for (let i = 0; i < samples.length; i += 1) {
    const x = samples[i] as number;
    const y = b0 * (x - 2 * x1 + x2) - a1 * y1 - a2 * y2;
    output[i] = y;
    x2 = x1;
    x1 = x;
    y2 = y1;
    y1 = y;
  }
  return output;
}

/** The level of the speech without its pauses, or −Infinity where there is none. */
export function speechLevel(samples: Float32Array): number {
  const powers = framePowers(samples).filter((power) => power > fromDb(FLOOR_DBFS));
  const gate = mean(powers) * fromDb(-GATE_DB);
  return toDb(mean(powers.filter((power) => power > gate)));
}

/** Brings speech to `target` dBFS; rare peaks are rounded off instead of clipped. */
export function level(samples: Float32Array, target = TARGET_DBFS): Float32Array {
  const gain = 10 ** ((target - speechLevel(samples)) / 20);
  return samples.map((sample) => limit(sample * gain));
}

function limit(sample: number): number {
  const size = Math.abs(sample);
  if (size <= KNEE) return sample;
  const room = CEILING - KNEE;
  return Math.sign(sample) * (KNEE + room * Math.tanh((size - KNEE) / room));
}

/** Cuts silence off both ends of levelled speech: 50 ms stay before it and 150 ms after. */
export function trim(samples: Float32Array): Float32Array {
  const threshold = fromDb(TARGET_DBFS - 25);
  const powers = framePowers(samples);
  const first = powers.findIndex((power) => power > threshold);
  const last = powers.findLastIndex((power) => power > threshold);
  return samples.slice(Math.max(0, first * FRAME - LEAD), (last + 1) * FRAME + TAIL);
}

function framePowers(samples: Float32Array): number[] {
  return Array.from({ length: Math.ceil(samples.length / FRAME) }, (_, index) => {
    const end = Math.min((index + 1) * FRAME, samples.length);
    let power = 0;
    for (let i = index * FRAME; i < end; i += 1) power += (samples[i] as number) ** 2;
    return power / (end - index * FRAME);
  });
}

function mean(values: number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

const toDb = (power: number) => 10 * Math.log10(power);
const fromDb = (db: number) => 10 ** (db / 10);
