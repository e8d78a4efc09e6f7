// The metadata that phone.ts has in memory already.
import parsePhoneNumberFromString from 'libphonenumber-js/max';

/**
 * How names, lists, dates and numbers are written so that a synthesiser says them properly. Languages are
 * ISO 639 codes ("en", "es"); one without rules of its own gets the CLDR forms that Node brings.
 */

const AMPERSAND: Readonly<Record<string, string>> = { en: ' and ', es: ' y ' };

/**
 * Makes untrusted text safe to be read out. Tags go with all that is inside them; what a synthesiser could
 * take for markup or a command (`<`, `>`, `&`, espeak's `[[phonemes]]`, control characters such as its
 * Ctrl-A) becomes a space, invisible characters vanish, white space collapses. At most `limit` characters stay.
 */
export function cleanText(text: string, language: string, limit: number): string {
  const clean = text
    .slice(0, limit * 4) // bounds the work; markup may make the source longer than what is said
    .normalize('NFKC') // before the markup is looked for, or full-width brackets would turn up after it
    .replace(/<[/!?a-z][^<>]*>/gi, ' ')
    .replaceAll('&', AMPERSAND[language] ?? ' ')
    .replace(/\p{Cf}+/gu, '')
    .replace(/[\p{C}\s<>[\]{}|\\`^~*_]+/gu, ' ')
    .trim();
  return [...clean].slice(0, limit).join('').trimEnd();
}

/** "Ana, Ben and Cai"; "Ana, Ben y Cai", "Ana e Inés". An empty list gives an empty text. */
export function spokenList(items: readonly string[], language: string): string {
  if (language === 'es') return joined(items, startsWithSpanishI(items.at(-1) ?? '') ? 'e' : 'y');
  if (language === 'en') return joined(items, 'and');
  return new Intl.ListFormat(language, { type: 'conjunction' }).format(items);
}

function joined(items: readonly string[], conjunction: string): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} ${conjunction} ${items.at(-1)}`;
}

/**
 * "Inés", "Hilda", "Íñigo", "Yvonne", but not "Hielo", "Ian", "Yolanda": Real Academia Española, "y" before
 * the sound i. The CLDR rule in Node misses the accent and the Y.
 */
function startsWithSpanishI(word: string): boolean {
  return /^(h?i(?![aeo])|h?í|y(?![aeiouáéíóú]))/i.test(word);
}

/** '2026-11-19' -> "Thursday, November 19th", "jueves 19 de noviembre"; null if there is no such day. */
export function spokenDate(date: string, language: string): string | null {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(date) ? new Date(`${date}T00:00:00Z`) : new Date(Number.NaN);
  // 30 February is read as 2 March by JavaScript.
  if (Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== date) return null;
  const number = day.getUTCDate();
  const say = (style: DateStyle) => formatOf(language, style).format(day);
  const weekday = say('weekday');
  const month = say('month');
  if (language === 'en') return `${weekday}, ${month} ${number}${ordinalSuffix(number)}`;
  if (language === 'es') return `${weekday} ${number === 1 ? 'primero' : number} de ${month}`;
  return say('day');
}

const DATE_STYLES = {
  weekday: { weekday: 'long' },
  month: { month: 'long' },
  day: { weekday: 'long', day: 'numeric', month: 'long' },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;
type DateStyle = keyof typeof DATE_STYLES;

// Making one takes 0.4 ms and 11 kB outside of the heap, which a call's text would pay each time.
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(language: string, style: DateStyle): Intl.DateTimeFormat {
  const key = `${language} ${style}`;
  const known =
    formats.get(key) ?? new Intl.DateTimeFormat(language, { ...DATE_STYLES[style], timeZone: 'UTC' });
  formats.set(key, known);
  return known;
}

function ordinalSuffix(day: number): string {
  if (day >= 11 && day <= 13) return 'th';
  return { 1: 'st', 2: 'nd', 3: 'rd' }[day % 10] ?? 'th';
}

/**
 * E.164 digit by digit, in the groups in which the number's country writes it at home, with a comma as the
 * pause between them: '+13035550142' -> "3 0 3, 5 5 5, 0 1 4 2".
 */
export function spokenPhone(e164: string): string {
  const written = parsePhoneNumberFromString(e164)?.formatNational() ?? e164;
  const groups = written.match(/\d+/g) ?? [];
  return groups.map((group) => [...group].join(' ')).join(', ');
}
