import type { HeardLevel, Outcome } from './terms.ts';

/** How an unanswered call ended, as Asterisk tells it in ChannelDestroyed. */
export interface Ending {
  /** SIP status of the final response (`tech_cause`); null when Asterisk ended the call by itself. */
  sipCode: number | null;
  /** Q.850 cause. */
  cause: number | null;
  /** 180 or 183 was seen. */
  progressed: boolean;
  /** We gave up after the ring time. */
  rangOut: boolean;
  /** A Reason header said that the carrier's analytics blocked the call (603+). */
  analyticsBlock: boolean;
  /** The carrier said that we call too fast. */
  rateLimited: boolean;
}

/** Source: the specification's table of results (domain.md); RFC 3261, 8197, 8688; 47 CFR 64.1200(k). */
const BY_SIP_CODE: Readonly<Record<number, Outcome>> = {
  401: 'trunk_refused',
  403: 'trunk_refused',
  404: 'bad_number',
  407: 'trunk_refused',
  408: 'no_answer',
  410: 'bad_number',
  429: 'rate_limited',
  480: 'no_answer',
  484: 'bad_number',
  486: 'busy',
  487: 'no_answer',
  488: 'no_common_codec',
  500: 'trunk_failure',
  502: 'trunk_failure',
  503: 'trunk_failure',
  504: 'trunk_failure',
  600: 'busy',
  603: 'declined',
  604: 'bad_number',
  606: 'no_common_codec',
  607: 'blocked',
  608: 'blocked',
};

/** Q.850 causes, for a trunk that gives no SIP code. */
const BY_CAUSE: Readonly<Record<number, Outcome>> = {
  1: 'bad_number', // unallocated number
  17: 'busy',
  18: 'no_answer', // no user responding
  19: 'no_answer', // no answer from user
  21: 'declined', // call rejected
  22: 'bad_number', // number changed
  28: 'bad_number', // invalid number format
};

/** True for the Reason of a call that analytics blocked: 603+ (ATIS-1000099; 47 CFR 64.1200(k)(9)). */
export const isAnalyticsBlock = (reason: string): boolean => /\bv=analytics\d*\b/i.test(reason);

/** Outcome of a call that was not answered. What is in no table is the trunk's failure, never the parent's. */
export function outcomeOfEnding(ending: Ending): Outcome {
  const { sipCode, cause, progressed, rangOut, analyticsBlock, rateLimited } = ending;
  if (rangOut) return 'no_answer';
  if (rateLimited) return 'rate_limited';
  if (sipCode === 603 && analyticsBlock) return 'blocked';
  // PJSIP reports its own time-out as 408 too: nobody rang, so the trunk did not answer.
  if (sipCode === 408 && !progressed) return 'trunk_failure';
  if (sipCode !== null && sipCode >= 300) return BY_SIP_CODE[sipCode] ?? 'trunk_failure';
  return BY_CAUSE[cause ?? 0] ?? 'trunk_failure';
}

/** What is known of an answered call when it is over. */
export interface Listening {
  confirmed: boolean;
  /** A key was pressed: somebody is there. */
  person: boolean;
  /** The message was played to its end at least once. */
  completed: boolean;
  /** Longest stretch played, in ms. */
  heardMs: number;
}

/** Outcome of an answered call. Played to the end to nobody knows whom is `unsure`, not `heard`. */
export function outcomeOfListening({ confirmed, person, completed, heardMs }: Listening): Outcome {
  if (confirmed) return 'confirmed';
  if (completed) return person ? 'heard' : 'unsure';
  return heardMs > 0 ? 'partial' : 'not_heard';
}

/** The heard level that goes with an outcome. */
export function heardLevelOf(outcome: Outcome): HeardLevel {
  switch (outcome) {
    case 'confirmed':
    case 'partial':
    case 'voicemail':
    case 'unsure':
    case 'screened':
      return outcome;
    case 'heard':
      return 'full';
    default:
      return 'none';
  }
}
