/** A carrier's refusal, as far as it tells why. */
export interface Refusal {
  /** SIP status of the final response; null when there was none. */
  sipCode: number | null;
  /** Its reason phrase, and the text of Reason and Warning headers; null when not known. */
  phrase: string | null;
  /** Retry-After in seconds; null when the header was not there. */
  retryAfter: number | null;
}

/**
 * Codes that carriers use for "too fast", next to 429, and only if they say so in words. Not 486: there the
 * words are those of the called party's own exchange.
 */
const NEED_WORDS = new Set([403, 480, 500, 503, 603]);

const WORDS = [
  /(?<![a-z])cps(?![a-z])/i, // "Trunk CPS limit exceeded" (Twilio, 503), "CPS Limit Exceeded" (480)
  /calls?[ -]per[ -]second/i,
  /\brate[ -]?limit/i,
  /\brate (?:was |is )?(?:exceeded|too high)/i,
  /\bexceeded (?:the )?(?:call|invite|request|calling) rate/i,
  /too many (?:calls|invites|requests|sessions)/i,
  /\bthrottl/i,
  /maximum calls in progress/i, // FreeSWITCH, for its sessions per second too
];

/** True when the carrier refused because we call too fast, so that the trunk is to be slowed down. */
export function isRateLimit({ sipCode, phrase, retryAfter }: Refusal): boolean {
  if (sipCode === 429) return true;
  if (sipCode === 503 && retryAfter !== null) return true;
  return sipCode !== null && NEED_WORDS.has(sipCode) && WORDS.some((words) => words.test(phrase ?? ''));
}
