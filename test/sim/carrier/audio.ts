import { execFile } from 'node:child_process';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Sound } from './behaviours.ts';
import { digitPackets, type Packet, speechPackets, writePcap } from './pcap.ts';

const run = promisify(execFile);

/** Samples, and bytes of u-law, in a second. */
export const rate = 8000;

/** Milliseconds from the answer to the first key of the `keys-…` sounds. */
export const firstKeyMs = 3000;

/** @returns the file name of a sound: a pcap file where it holds keys, else raw u-law at 8 kHz. */
export function soundFile(sound: Sound): string {
  return sound.startsWith('keys-') ? `${sound}.pcap` : `${sound}.ulaw`;
}

/**
 * Makes the carrier's sounds with flite and sox, about 0.5 s in all and 100 kB; those that are there
 * already are kept.
 *
 * @param directory is created when missing.
 * @throws when flite or sox is missing or fails.
 */
export async function makeSounds(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const missing = await Promise.all(
    (Object.keys(recipes) as Sound[]).map(async (sound) => {
      const made = await stat(join(directory, soundFile(sound))).catch(() => undefined);
      return made === undefined ? [sound] : [];
    }),
  );
  for (const sound of missing.flat()) {
    const path = join(directory, soundFile(sound));
    await writeFile(`${path}.tmp`, await recipes[sound](directory));
    await rename(`${path}.tmp`, path);
  }
}

const recipes: Record<Sound, (directory: string) => Promise<Buffer>> = {
  hello: (directory) => say(directory, 'hello', 'Hello?'),
  greeting: async (directory) =>
    Buffer.concat([
      await say(
        directory,
        'greeting',
        'Hi, we cannot come to the phone now. Please leave a message after the tone.',
      ),
      silence(0.5),
      tone(1000, 0.4),
    ]),
  announcement: (directory) => say(directory, 'announcement', 'Please wait while we connect your call.'),
  'keys-1': (directory) => keys(directory, '1'),
  'keys-2': (directory) => keys(directory, '2'),
  'keys-9': (directory) => keys(directory, '9'),
  'keys-12': (directory) => keys(directory, '12'),
};

async function say(directory: string, name: string, text: string): Promise<Buffer> {
  const wav = join(directory, `${name}.wav`);
  try {
    await run('flite', ['-voice', 'slt', '-t', text, '-o', wav]);
    const { stdout } = await run(
      'sox',
      [wav, '-t', 'raw', '-r', String(rate), '-c', '1', '-e', 'u-law', '-'],
      {
        encoding: 'buffer',
      },
    );
    await rm(wav);
    return stdout;
  } catch (error) {
    throw new Error(
      `could not make the carrier's sound "${name}": are flite and sox installed? (apt-get install flite sox)`,
      {
        cause: error,
      },
    );
  }
}

/** "Hello?" at once, and the digits from `firstKeyMs` on, each 100 ms long with 60 ms between them. */
async function keys(directory: string, digits: string): Promise<Buffer> {
  const packets: Packet[] = speechPackets(await say(directory, `keys-${digits}`, 'Hello?'), 0);
  [...digits].forEach((digit, index) => {
    packets.push(...digitPackets(digit, firstKeyMs + index * 160));
  });
  return writePcap(packets);
}

const silence = (seconds: number) => Buffer.alloc(Math.round(seconds * rate), 0xff);

function tone(hertz: number, seconds: number): Buffer {
  const sample = (_: unknown, index: number) =>
    muLaw(Math.round(8000 * Math.sin((2 * Math.PI * hertz * index) / rate)));
  return Buffer.from(Array.from({ length: Math.round(seconds * rate) }, sample));
}

/** ITU-T G.711 u-law of one 16-bit sample. */
function muLaw(sample: number): number {
  const magnitude = Math.min(Math.abs(sample), 32635) + 132;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}
