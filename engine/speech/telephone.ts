import { RollcallError } from '../errors.ts';
import { highPass, level, speechLevel, trim } from './loudness.ts';
import { resample } from './resample.ts';
import { encodeUlaw } from './ulaw.ts';
import { parseWav } from './wav.ts';

/** Samples a second on the line, and so bytes a second of µ-law. */
export const LINE_RATE = 8_000;

/**
 * Makes a voice's WAV fit for the line: 8 kHz, without what a telephone does not carry, at one loudness, without
 * silence at the ends, as raw µ-law, which Asterisk plays without transcoding. Throws SPEECH_FAILED for a WAV
 * that cannot be read or holds no speech.
 */
export async function toTelephone(wav: Buffer): Promise<Buffer> {
  const { rate, samples } = parseWav(wav);
  const line = highPass(await resample(samples, rate, LINE_RATE));
  if (speechLevel(line) === -Infinity) {
    throw new RollcallError(
      'SPEECH_FAILED',
      'The voice said nothing; it may not know the script of the text',
    );
  }
  return encodeUlaw(trim(level(line)));
}
