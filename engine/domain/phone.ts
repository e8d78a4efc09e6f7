// `max`: the only metadata with exact validity and with the type of every number, so that premium-rate
// numbers are known as such. It costs 75 kB more of memory than `min`, which counts for a web page only.
import parsePhoneNumberFromString, {
  getCountryCallingCode,
  isSupportedCountry,
  ParseError,
  type PhoneNumber,
  parsePhoneNumberWithError,
} from 'libphonenumber-js/max';
import type { NumberFormat } from './trunk.ts';

/** A number that may be dialled, or why it may not; the reason completes "primary_phone …". */
export type ParsedPhone = { ok: true; e164: string } | { ok: false; reason: string };

const LONGEST_INPUT = 40;
// The database's domain `e164` says the same.
const E164 = /^\+[1-9][0-9]{6,14}$/;
const DIALLABLE = /^\+?[0-9]+$/;
/** A call to these costs the district money by the minute, and no family has one. */
const COSTLY = new Set(['PREMIUM_RATE', 'SHARED_COST']);

const refuse = (reason: string): ParsedPhone => ({ ok: false, reason });

/**
 * Reads a phone number as people write it, for example `(303) 555-0142`, in `country` (ISO 3166 alpha-2)
 * unless it starts with `+` or the country's international prefix. Only digits, spaces and `( ) + - . /`
 * are read; extensions, letters, non-ASCII digits and control characters make it no number, so nothing else
 * can reach a dial string. A reason never contains the number itself.
 *
 * Accepted numbers are *valid*, not just of a possible length. The fictional numbers 555-0100 to 555-0199
 * that the simulated carrier uses are valid too: libphonenumber's pattern for the United States is
 * `[2-9]xx [2-9]xxxxxx` for the area codes that exist (tried with 1.13.16), so no looser rule is needed.
 */
export function parsePhone(input: string, country: string): ParsedPhone {
  if (input.length > LONGEST_INPUT) return refuse('is too long for a phone number');
  if (/[0-9).\s](?:x|ext|#|;)[\s.:=a-z]*[0-9]+\s*$/i.test(input))
    return refuse('has an extension: give a number that rings directly');
  if (/[a-z]/i.test(input)) return refuse('has letters: give digits only');
  if (!/^[0-9 ()+\-./]+$/.test(input)) return refuse('may have only digits, spaces and ( ) + - . /');
  let number: PhoneNumber;
  try {
    number = parsePhoneNumberWithError(input, {
      ...(isSupportedCountry(country) ? { defaultCountry: country } : {}),
      extract: false,
    });
  } catch (error) {
    if (error instanceof ParseError) return refuse(PARSE_REASONS[error.message] ?? 'is not a phone number');
    throw error;
  }
  if (!number.isPossible())
    return refuse('has too few or too many digits: give the whole number with its area code');
  // A number has a type if and only if it is valid, and finding both out would take twice as long.
  const type = number.getType();
  if (type === undefined || brokenNanp(input, number, type)) return refuse('is not a number that exists');
  if (COSTLY.has(type)) return refuse('is a premium-rate number');
  return E164.test(number.number) ? { ok: true, e164: number.number } : refuse('is not a phone number');
}

const PARSE_REASONS: Record<string, string> = {
  INVALID_COUNTRY: 'has no country code that exists: give it as + and country code',
  TOO_SHORT: 'is too short for a phone number',
  TOO_LONG: 'is too long for a phone number: give one number',
};

/**
 * What libphonenumber lets pass in the North American plan: a second leading 1, which it drops without a
 * word (`1-1-303-555-0142`), and N11 as the exchange of a geographic number (303-911-1234). N11 codes are
 * services (911!) and never exchanges there (NANPA, Central Office Code Guidelines); toll-free numbers have
 * such "exchanges".
 */
function brokenNanp(input: string, number: PhoneNumber, type: string): boolean {
  if (number.countryCallingCode !== '1') return false;
  return /^\D*1\D*1/.test(input) || (type !== 'TOLL_FREE' && /^\d{3}[2-9]11/.test(number.nationalNumber));
}

/** What a family, or a district's own line, can have. All others cost by the minute, or reach nobody. */
const ORDINARY = new Set(['FIXED_LINE', 'MOBILE', 'FIXED_LINE_OR_MOBILE', 'VOIP', 'TOLL_FREE']);
/** Information services of the North American plan, which bill the caller: exchange 976, and 555-1212. */
const NANP_SERVICE = /^[0-9]{3}(976|5551212)/;

/**
 * Whether a trunk may dial an E.164 number. Without prefixes: only numbers of `country` (ISO 3166 alpha-2), by
 * what the number plan says and not by the calling code, so that +1 876 is Jamaica and not the United States.
 * With prefixes: those that begin with one, wherever that is. Premium-rate, shared-cost, personal and corporate
 * numbers, service and emergency numbers, and those that do not exist: never, whatever the prefixes say.
 *
 * Who breaks into a phone system has it call such numbers, and gets a share of what the calls cost.
 */
export function mayDial(
  phone: string,
  { allowedPrefixes, country }: { allowedPrefixes: readonly string[] | null; country: string },
): boolean {
  if (!E164.test(phone)) return false;
  const number = parsePhoneNumberFromString(phone);
  const type = number?.getType();
  if (number === undefined || type === undefined || !ORDINARY.has(type)) return false;
  if (brokenNanp(phone, number, type)) return false;
  if (number.countryCallingCode === '1' && NANP_SERVICE.test(number.nationalNumber)) return false;
  return allowedPrefixes === null
    ? number.country === country
    : allowedPrefixes.some((prefix) => phone.startsWith(prefix));
}

/**
 * The digits that a trunk wants for `e164`; always matches `^\+?[0-9]+$`. `national` is how it is dialled
 * inside `country`; a number of another country then gets the international prefix (from the US: `011…`).
 * `prefix` is `numberPrefix`, then as `plain`.
 *
 * Throws a RangeError for anything that is not an E.164 number, since it would go into a dial string, and for a
 * prefix that makes an emergency call of one.
 */
export function formatForTrunk(
  e164: string,
  format: NumberFormat,
  country: string,
  numberPrefix: string | null = null,
): string {
  if (!E164.test(e164)) throw new RangeError('a number to dial must be E.164, such as +13035550142');
  const dialled = formatted(e164, format, country, numberPrefix ?? '');
  if (!DIALLABLE.test(dialled)) throw new RangeError('a number to dial came out with more than digits');
  return dialled;
}

function formatted(e164: string, format: NumberFormat, country: string, numberPrefix: string): string {
  switch (format) {
    case 'e164':
      return e164;
    case 'plain':
      return e164.slice(1);
    case 'national':
      return national(e164, country);
    case 'prefix': {
      const digits = `${numberPrefix}${e164.slice(1)}`;
      if (/^(911|112)/.test(digits))
        throw new RangeError('with this prefix a call would be an emergency call');
      return digits;
    }
  }
}

function national(e164: string, country: string): string {
  const number = parsePhoneNumberFromString(e164);
  if (number === undefined || !isSupportedCountry(country))
    throw new RangeError('a number to dial has an unknown country code');
  // The same calling code is not the same country (+1 876 is Jamaica), but is dialled the same way.
  const text =
    number.countryCallingCode === getCountryCallingCode(country)
      ? number.format('NATIONAL')
      : number.format('IDD', { fromCountry: country });
  return text.replace(/[^0-9]/g, '');
}
