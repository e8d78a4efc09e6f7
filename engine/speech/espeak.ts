import { runProgram } from './program.ts';
import type { Voice } from './voice.ts';

/**
 * Language to the voice of espeak-ng that speaks it: the languages most spoken in the homes of schools of the
 * United States that espeak-ng 1.51 has, and English for a machine without flite. Only what stands here
 * becomes an argument.
 */
const VOICES: ReadonlyMap<string, string> = new Map([
  ['am', 'am'], // Amharic
  ['ar', 'ar'],
  ['bn', 'bn'],
  ['de', 'de'],
  ['en', 'en-us'],
  ['es', 'es-419'],
  ['fa', 'fa'],
  ['fr', 'fr-fr'],
  ['gu', 'gu'],
  ['hi', 'hi'],
  ['ht', 'ht'], // Haitian Creole
  ['it', 'it'],
  ['ko', 'ko'],
  ['my', 'my'], // Burmese
  ['ne', 'ne'],
  ['pa', 'pa'],
  ['pl', 'pl'],
  ['pt', 'pt-br'],
  ['ru', 'ru'],
  ['sw', 'sw'],
  ['ta', 'ta'],
  ['te', 'te'],
  ['uk', 'uk'],
  ['ur', 'ur'],
  ['vi', 'vi'],
  ['zh', 'cmn'],
]);

/** Words a minute, a little over the default of 175: Spanish needs more syllables for the same message. */
const SPEED = 180;

/** Spanish and other languages by espeak-ng. `program` is for installations where it is not on PATH. */
export function createEspeak({ program = 'espeak-ng' }: { program?: string } = {}): Voice {
  return {
    name: `espeak-ng-${SPEED}`,
    speaks: (language) => VOICES.has(language),
    speak(text, language, signal) {
      const voice = VOICES.get(language) ?? 'en-us';
      // To standard output and not to a file: on a full disk espeak-ng writes half a message, corrects the
      // header to match, and exits with 0. `-b 1`: the text is UTF-8. Without `-m`, markup is not markup.
      const args = ['-v', voice, '-s', String(SPEED), '-b', '1', '--stdin', '--stdout'];
      return runProgram({ program, args, input: text, signal });
    },
  };
}
