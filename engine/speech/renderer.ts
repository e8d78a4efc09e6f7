import { createHash } from 'node:crypto';
import { cleanText } from '../domain/spoken.ts';
import { SPOKEN_LIMIT } from '../domain/template.ts';
import { isRollcallError, RollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import { audioSize, soundPath, writeAtomically } from './audio-file.ts';
import { createLimit } from './limit.ts';
import { LINE_RATE, toTelephone } from './telephone.ts';
import { type Voice, voiceFor } from './voice.ts';

export { soundPath } from './audio-file.ts';

/** Part of every hash: raise it when the same text is to sound different (level, filter, codec). */
const FORMAT_VERSION = 1;
/** Synthesisers at work at once; more would take the processor from the calls. */
const MAX_RENDERS = 2;

/** What is to be heard: `language` is the ISO 639 code of the language that `text` is in. */
export interface Speech {
  text: string;
  language: string;
}

export interface Rendered {
  /** SHA-256, 64 hexadecimal digits. */
  hash: string;
  /** Absolute path of the raw µ-law file, `<directory>/<two digits>/<hash>.ulaw`. */
  file: string;
  durationMs: number;
  /** True if the audio was there already. Callers that shared one run all get false. */
  cached: boolean;
}

export interface Renderer {
  /**
   * The name of the audio of a text, without making it. Throws SPEECH_FAILED when no voice speaks the
   * language, INPUT_INVALID for a text that is empty or longer than 5,000 characters.
   */
  hashOf(speech: Speech): string;
  /**
   * Makes the audio of a text, once. Throws as `hashOf` does, and SPEECH_FAILED when the voice is not
   * installed or fails, or the audio cannot be stored; then no file is left.
   */
  render(speech: Speech): Promise<Rendered>;
}

export interface RendererOptions {
  /** Where prompts are kept; made if it is missing. Asterisk must be able to read it under the same path. */
  directory: string;
  /** In order of preference: the first that speaks a language does. */
  voices: readonly Voice[];
  log: Log;
  /** Ends runs at shutdown; they fail with the signal's reason. */
  signal?: AbortSignal;
}

export function createRenderer({
  directory,
  voices,
  log,
  signal = new AbortController().signal,
}: RendererOptions): Renderer {
  const limited = createLimit(MAX_RENDERS);
  const underway = new Map<string, Promise<Rendered>>();

  function plan({ text, language }: Speech) {
    if (text.length > SPOKEN_LIMIT) {
      throw new RollcallError('INPUT_INVALID', `A text to speak has at most ${SPOKEN_LIMIT} characters`);
    }
    // Once more, for texts that did not come from a template: nothing a voice takes for a command gets to it.
    const clean = cleanText(text, language, SPOKEN_LIMIT);
    if (!/[\p{L}\p{N}]/u.test(clean))
      throw new RollcallError('INPUT_INVALID', 'The text has no words to speak');
    const voice = voiceFor(voices, language);
    const identity = [FORMAT_VERSION, voice.name, language, clean].join('\0');
    return { voice, clean, hash: createHash('sha256').update(identity).digest('hex') };
  }

  async function run(voice: Voice, clean: string, language: string, hash: string): Promise<Rendered> {
    const file = `${soundPath(directory, hash)}.ulaw`;
    try {
      const size = await audioSize(file);
      if (size > 0) return { hash, file, durationMs: duration(size), cached: true };
      const started = performance.now();
      signal.throwIfAborted();
      const bytes = await toTelephone(await voice.speak(clean, language, signal));
      await writeAtomically(directory, file, bytes);
      const durationMs = duration(bytes.length);
      const renderMs = Math.round(performance.now() - started);
      log.info({ prompt: hash, language, voice: voice.name, durationMs, renderMs }, 'prompt rendered');
      return { hash, file, durationMs, cached: false };
    } catch (cause) {
      if (signal.aborted || isRollcallError(cause)) throw cause;
      throw new RollcallError(
        'SPEECH_FAILED',
        `Audio cannot be kept in ${directory}; check its space and rights`,
        {
          cause,
          details: { prompt: hash },
        },
      );
    }
  }

  return {
    hashOf: (speech) => plan(speech).hash,
    async render(speech) {
      const { voice, clean, hash } = plan(speech);
      const shared = underway.get(hash);
      if (shared !== undefined) return shared;
      const running = limited(() => run(voice, clean, speech.language, hash));
      underway.set(hash, running);
      try {
        return await running;
      } finally {
        underway.delete(hash);
      }
    },
  };
}

function duration(bytes: number): number {
  return Math.round((bytes / LINE_RATE) * 1_000);
}
