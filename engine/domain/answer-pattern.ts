/** How phones answer: what the district's own attempts say or, without enough of them, what we assume. */
import type { AnswerPattern, OutcomeClass } from './forecast.ts';
import type { Policy } from './policy.ts';
import type { Outcome } from './terms.ts';

/** Finished attempts of one outcome that lasted about as long. */
export interface HistoryClass {
  /** Not the first try of its call. */
  later: boolean;
  outcome: Outcome;
  /** The message was played to its end. */
  complete: boolean;
  count: number;
  /** Mean from the INVITE to the answer, or to the end. */
  ringMs: number;
  /** Mean from the answer to the end; 0 without one. */
  talkMs: number;
  messageMs: number;
  /** 0 to 1. */
  heardShare: number;
}

/** With fewer finished attempts than this, the defaults are nearer to the truth. */
export const ENOUGH_HISTORY = 200;
const ENOUGH_RETRIES = 50;

/**
 * The shape of assumptions for families' phones: seven of ten are answered, a third of these by a machine.
 * Who did not answer will more likely not answer the next time either.
 */
const DEFAULT_FIRST = {
  person: 45,
  machine: 25,
  partial: 8,
  noAnswer: 12,
  busy: 3,
  badNumber: 4,
  declined: 3,
};
const DEFAULT_LATER = {
  person: 30,
  machine: 30,
  partial: 5,
  noAnswer: 28,
  busy: 5,
  badNumber: 0,
  declined: 2,
};
/** A person picks up after one, two, three or four rings of six seconds; a machine after four. */
const PERSON_RINGS_MS = [4_000, 7_000, 11_000, 16_000];
const MACHINE_RINGS_MS = [18_000, 24_000];
const PARTIAL_TALK_MS = 6_000;

/** The default pattern for a message of `messageMs`. */
export function defaultPattern(policy: Policy, messageMs: number): AnswerPattern {
  const fullMs = policy.answerPauseMs + messageMs + policy.keyWaitMs;
  const ringLimitMs = policy.ringSeconds * 1000;
  const spread = (outcome: Outcome, share: number, ringsMs: number[], talkMs: number): OutcomeClass[] =>
    ringsMs.map((ringMs) => ({
      outcome,
      share: share / ringsMs.length,
      ringMs: Math.min(ringMs, ringLimitMs),
      talkMs,
    }));
  const classes = (shares: typeof DEFAULT_FIRST): OutcomeClass[] => [
    ...spread('heard', shares.person, PERSON_RINGS_MS, fullMs),
    ...spread('voicemail', shares.machine, MACHINE_RINGS_MS, fullMs),
    ...spread('partial', shares.partial, PERSON_RINGS_MS, Math.min(fullMs, PARTIAL_TALK_MS)),
    ...spread('no_answer', shares.noAnswer, [ringLimitMs], 0),
    ...spread('busy', shares.busy, [500], 0),
    ...spread('bad_number', shares.badNumber, [1_000], 0),
    ...spread('declined', shares.declined, [8_000], 0),
  ];
  return { first: classes(DEFAULT_FIRST), later: classes(DEFAULT_LATER) };
}

/**
 * The pattern for a message of `messageMs`, from the history if there is enough of it. Who listened to the end
 * of another message listens to the end of this one, however long; who hung up hangs up after the same time.
 */
export function answerPattern(
  history: readonly HistoryClass[],
  policy: Policy,
  messageMs: number,
): { pattern: AnswerPattern; source: 'history' | 'default' } {
  const defaults = defaultPattern(policy, messageMs);
  const countOf = (classes: readonly HistoryClass[]) => classes.reduce((sum, { count }) => sum + count, 0);
  if (countOf(history) < ENOUGH_HISTORY) return { pattern: defaults, source: 'default' };
  const fullMs = policy.answerPauseMs + messageMs + policy.keyWaitMs;
  const toClass = (one: HistoryClass): OutcomeClass => ({
    outcome: one.outcome,
    share: one.count,
    ringMs: one.ringMs,
    talkMs: one.complete ? Math.max(0, one.talkMs + messageMs - one.messageMs) : Math.min(one.talkMs, fullMs),
    heardShare: one.heardShare,
  });
  const first = history.filter(({ later }) => !later);
  const later = history.filter((one) => one.later);
  return {
    pattern: {
      first: first.length > 0 ? first.map(toClass) : defaults.first,
      later: countOf(later) >= ENOUGH_RETRIES ? later.map(toClass) : defaults.later,
    },
    source: 'history',
  };
}

/**
 * How long a text takes to say. Measured with the voices of this project, English and Spanish, 50 to 190
 * characters: within 10 %.
 */
export const SPEECH = { startMs: 900, perCharacterMs: 52 };

export function speechMs(text: string): number {
  return SPEECH.startMs + SPEECH.perCharacterMs * text.length;
}
