import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RollcallError } from '../errors.ts';
import { runProgram } from './program.ts';
import type { Voice } from './voice.ts';

/**
 * Of flite 2.2's voices: kal and kal16 are diphone voices of 1999 that buzz, awb is Scottish. Of the American
 * rms and slt, at equal loudness on the line, slt has 91 % of its power in 300–3,400 Hz (rms 86 %), pauses
 * 14 dB quieter, and needs 8 % less time; rms has 3 dB more in the consonants' 2–3.4 kHz.
 */
const FLITE_VOICE = 'slt';

/** Of the voice's own, slow pace: gives about 170 words a minute. */
const STRETCH = '0.88';

/** English by flite. `program` is for installations where it is not on PATH. */
export function createFlite({ program = 'flite' }: { program?: string } = {}): Voice {
  return {
    name: `flite-${FLITE_VOICE}-${STRETCH}`,
    speaks: (language) => language === 'en',
    async speak(text, _language, signal) {
      // flite can read from a pipe, but hangs when it is to write into one.
      const folder = await mkdtemp(join(tmpdir(), 'rollcall-flite-')).catch(noFolder);
      try {
        const wav = join(folder, 'speech.wav');
        const args = ['--setf', `duration_stretch=${STRETCH}`, '-voice', FLITE_VOICE, '-f', '-', '-o', wav];
        await runProgram({ program, args, input: toAscii(text), signal });
        return await readFile(wav).catch((cause: unknown) => {
          throw new RollcallError('SPEECH_FAILED', 'flite wrote no audio; is the disk full?', { cause });
        });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function noFolder(cause: unknown): never {
  throw new RollcallError('SPEECH_FAILED', 'No room for audio in the folder for temporary files', { cause });
}

const LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ı: 'i',
  '’': "'",
  '‘': "'",
  '–': ', ',
  '—': ', ',
  '…': '.',
};

/**
 * flite knows ASCII only and drops what it does not know, with the letters beside it: "Zoë" becomes "Zo".
 * Accents are taken off instead; other scripts are left out.
 */
export function toAscii(text: string): string {
  return text
    .replace(/[ÆŒØŁĐÐÞ]/g, (letter) => letter.toLowerCase())
    .replace(/[^ -~]/g, (letter) => LETTERS[letter] ?? letter)
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[^!-~]+/g, ' ')
    .trim();
}
