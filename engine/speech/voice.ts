import { RollcallError } from '../errors.ts';

/** Something that reads text out: a program on this machine, or a service. */
export interface Voice {
  /** Names the sound that comes out, part of each prompt's hash: it changes when the sound does. */
  readonly name: string;
  /** `language` is an ISO 639 code ("en", "es"). */
  speaks(language: string): boolean;
  /**
   * The spoken text as a 16-bit mono WAV of any sample rate. `text` is handed over as data, never as an
   * argument. Throws SPEECH_FAILED when the voice is missing, fails or takes too long, and the signal's
   * reason when `signal` aborts.
   */
  speak(text: string, language: string, signal: AbortSignal): Promise<Buffer>;
}

/** The first voice that speaks `language`; SPEECH_FAILED if there is none. */
export function voiceFor(voices: readonly Voice[], language: string): Voice {
  const voice = voices.find((candidate) => candidate.speaks(language));
  if (voice !== undefined) return voice;
  throw new RollcallError(
    'SPEECH_FAILED',
    'No voice speaks this language; send the message in English instead',
    {
      details: { language },
    },
  );
}
