/**
 * One call from INVITE to outcome, as a pure state machine: (state, event) -> (state, commands). It knows no
 * Asterisk, no database and no clock; times are handed in as monotonic milliseconds.
 *
 *   dialing ──> ringing ──> pausing ──────────> playing ──────> waiting ──────> leaving ──────> ended
 *      180, 183    answered    pause over and      message        no key, or       channel
 *                              ledger has it       over           key 1            destroyed
 *
 * From every phase: `destroyed` (the other side hung up, or was never reached), `lost` (the channel vanished
 * unseen) and `refused` (nothing was sent) lead to `ended`; the ring and limit timers, a playback that failed
 * and `abandon` (we are going down) lead to `leaving`. Key 2 leads back to `playing`.
 */
import type { AttemptEnd } from '../domain/ledger.ts';
import { heardLevelOf, outcomeOfEnding, outcomeOfListening } from '../domain/outcome.ts';
import type { Verdict } from '../domain/retry.ts';

export type Phase = 'dialing' | 'ringing' | 'pausing' | 'playing' | 'waiting' | 'leaving' | 'ended';
export type TimerName = 'ring' | 'pause' | 'keys' | 'fault' | 'limit';

/** What a call is allowed, from the policy and its message. All in ms. */
export interface SessionLimits {
  ringMs: number;
  pauseMs: number;
  keyWaitMs: number;
  messageMs: number;
}

export interface Session {
  readonly phase: Phase;
  readonly limits: SessionLimits;
  /** 180 or 183 was seen. */
  readonly progressed: boolean;
  readonly rangOut: boolean;
  readonly answered: boolean;
  /** The ledger has the answer: from here on a crash knows that a message may have been heard. */
  readonly recorded: boolean;
  readonly pauseOver: boolean;
  /** How many times the message was started; also the number of the playback under way. */
  readonly plays: number;
  readonly playingSince: number | null;
  readonly heardMs: number;
  readonly completed: boolean;
  readonly confirmed: boolean;
  readonly person: boolean;
  readonly digits: string;
  /** An error of our own made the message impossible. */
  readonly faulty: boolean;
  /** We hung up in the middle, because we are going down. */
  readonly abandoned: boolean;
}

/** How the channel ended, as Asterisk and the copy of the SIP response say. */
export interface Destroyed {
  sipCode: number | null;
  /** Q.850 */
  cause: number | null;
  analyticsBlock?: boolean;
  rateLimited?: boolean;
}

export type SessionEvent =
  | { type: 'ringing' }
  | { type: 'answered' }
  | { type: 'recorded' }
  | { type: 'timer'; timer: TimerName }
  | { type: 'playbackFinished'; play: number; done: boolean }
  /** The message was not started: nothing of it was heard. */
  | { type: 'playRefused'; play: number }
  /** The request to play was lost on its way: it is asked for again, and only now begins. */
  | { type: 'playLost'; play: number }
  | { type: 'digit'; digit: string }
  | ({ type: 'destroyed' } & Destroyed)
  /** Asterisk would not place the call: nothing was sent. */
  | { type: 'refused' }
  /** The channel vanished unseen; it may have lived until `until`. */
  | { type: 'lost'; until: number }
  /** We are going down and cannot wait any longer. */
  | { type: 'abandon' };

export type Command =
  | { do: 'arm'; timer: TimerName; ms: number }
  | { do: 'disarm'; timer: TimerName }
  /** Write the answer to the ledger, then send `recorded`. */
  | { do: 'record' }
  | { do: 'play'; play: number }
  | { do: 'stopPlayback'; play: number }
  | { do: 'hangup' }
  | { do: 'finish'; result: SessionResult };

/** What is known of the attempt when it is over; what follows from it is decided elsewhere (domain/retry.ts). */
export type SessionResult = Omit<AttemptEnd, 'attemptId' | 'fence' | keyof Verdict>;

export interface Step {
  session: Session;
  commands: Command[];
}

/** What the keys do while the message plays and after it. Any key shows that a person is there. */
const KEYS: Readonly<Record<string, 'confirm' | 'replay'>> = { '1': 'confirm', '2': 'replay' };
/** Playing more often than this is a stuck key or a fax, not a parent. */
export const MAX_PLAYS = 3;
/** A playback that ends early is a failure if the call outlives it by this much. */
const FAULT_MS = 500;
/** Set-up and tear-down around the parts of a call that have limits of their own. */
const SLACK_MS = 15_000;

/** The longest that an answered call can last, in ms. */
const answeredLimitMs = (limits: SessionLimits): number =>
  limits.pauseMs + MAX_PLAYS * (limits.messageMs + limits.keyWaitMs) + SLACK_MS;

/** The longest that any call can last, in ms. */
export const totalLimitMs = (limits: SessionLimits): number => limits.ringMs + answeredLimitMs(limits);

/** A session for a call whose INVITE is about to leave. */
export function startSession(limits: SessionLimits): Step {
  const session: Session = {
    phase: 'dialing',
    limits,
    progressed: false,
    rangOut: false,
    answered: false,
    recorded: false,
    pauseOver: false,
    plays: 0,
    playingSince: null,
    heardMs: 0,
    completed: false,
    confirmed: false,
    person: false,
    digits: '',
    faulty: false,
    abandoned: false,
  };
  return { session, commands: [{ do: 'arm', timer: 'ring', ms: limits.ringMs }] };
}

/** A session whose message is being played, found after a restart. `since`: when it began. */
export function resumePlaying(limits: SessionLimits, play: number, since: number): Step {
  const { session } = startSession(limits);
  return {
    session: {
      ...session,
      phase: 'playing',
      progressed: true,
      answered: true,
      recorded: true,
      pauseOver: true,
      plays: play,
      playingSince: since,
    },
    commands: [{ do: 'arm', timer: 'limit', ms: answeredLimitMs(limits) }],
  };
}

/** A session that played its message to the end while nobody looked: it only says goodbye. */
export function resumePlayed(limits: SessionLimits): Step {
  const { session } = resumePlaying(limits, 1, 0);
  return leave({
    ...session,
    phase: 'waiting',
    playingSince: null,
    heardMs: limits.messageMs,
    completed: true,
  });
}

/** The next state and what to do. Events that no longer matter change nothing. */
export function advance(session: Session, event: SessionEvent, now: number): Step {
  if (session.phase === 'ended') return stay(session);
  switch (event.type) {
    case 'ringing':
      return session.phase === 'dialing'
        ? stay({ ...session, phase: 'ringing', progressed: true })
        : stay(session);
    case 'answered':
      return session.answered || session.phase === 'leaving' ? stay(session) : answer(session);
    case 'recorded':
      return startWhenDue({ ...session, recorded: true }, now);
    case 'timer':
      return onTimer(session, event.timer, now);
    case 'playbackFinished':
      return onPlaybackFinished(session, event.play, event.done, now);
    case 'playRefused':
      return session.phase === 'playing' && event.play === session.plays
        ? {
            session: { ...session, playingSince: null },
            commands: [{ do: 'arm', timer: 'fault', ms: FAULT_MS }],
          }
        : stay(session);
    case 'playLost':
      return session.phase === 'playing' && event.play === session.plays
        ? { session: { ...session, playingSince: now }, commands: [{ do: 'play', play: event.play }] }
        : stay(session);
    case 'digit':
      return onDigit(session, event.digit, now);
    case 'destroyed':
      return finish(stopHearing(session, now), event);
    case 'refused':
      return end(session, { outcome: 'trunk_failure', sipCode: null, cause: null, interrupted: false });
    case 'lost':
      return onLost(session, event.until, now);
    case 'abandon':
      return leave({ ...stopHearing(session, now), abandoned: true });
  }
}

function answer(session: Session): Step {
  return {
    session: { ...session, phase: 'pausing', progressed: true, answered: true },
    commands: [
      { do: 'disarm', timer: 'ring' },
      { do: 'arm', timer: 'limit', ms: answeredLimitMs(session.limits) },
      { do: 'arm', timer: 'pause', ms: session.limits.pauseMs },
      { do: 'record' },
    ],
  };
}

/** The message starts when the pause is over and the ledger knows of the answer, whichever is later. */
function startWhenDue(session: Session, now: number): Step {
  const due = session.phase === 'pausing' && session.pauseOver && session.recorded;
  return due ? play(session, now) : stay(session);
}

function play(session: Session, now: number): Step {
  const number = session.plays + 1;
  return {
    session: { ...session, phase: 'playing', plays: number, playingSince: now },
    commands: [
      { do: 'disarm', timer: 'keys' },
      { do: 'play', play: number },
    ],
  };
}

function onTimer(session: Session, timer: TimerName, now: number): Step {
  switch (timer) {
    case 'ring':
      return session.answered ? stay(session) : leave({ ...session, rangOut: true });
    case 'pause':
      return startWhenDue({ ...session, pauseOver: true }, now);
    case 'keys':
      return session.phase === 'waiting' ? leave(session) : stay(session);
    case 'fault':
      // The call is still up: the playback failed, and what failed was not heard.
      return session.phase === 'playing' && session.playingSince === null
        ? leave({ ...session, heardMs: 0, faulty: true })
        : stay(session);
    case 'limit':
      return leave(stopHearing(session, now));
  }
}

function onPlaybackFinished(session: Session, number: number, done: boolean, now: number): Step {
  // A playback that was stopped for a replay reports its end after the next one began.
  if (session.phase !== 'playing' || number !== session.plays) return stay(session);
  if (!done) {
    // Either the file is broken, or the parent hung up and the news of that is still on its way.
    return {
      session: stopHearing(session, now),
      commands: [{ do: 'arm', timer: 'fault', ms: FAULT_MS }],
    };
  }
  return {
    session: {
      ...session,
      phase: 'waiting',
      playingSince: null,
      heardMs: session.limits.messageMs,
      completed: true,
    },
    commands: [{ do: 'arm', timer: 'keys', ms: session.limits.keyWaitMs }],
  };
}

function onDigit(session: Session, digit: string, now: number): Step {
  if (!session.answered || session.phase === 'leaving') return stay(session);
  const pressed: Session = { ...session, person: true, digits: (session.digits + digit).slice(0, 32) };
  switch (KEYS[digit]) {
    case 'confirm':
      // Confirmed before a word was said is a key pressed by accident.
      return session.plays === 0 ? stay(pressed) : leave({ ...stopHearing(pressed, now), confirmed: true });
    case 'replay':
      return session.plays === 0 || session.plays >= MAX_PLAYS ? stay(pressed) : replay(pressed, now);
    default:
      return stay(pressed);
  }
}

function replay(session: Session, now: number): Step {
  const { session: next, commands } = play(stopHearing(session, now), now);
  return session.phase === 'playing'
    ? { session: next, commands: [{ do: 'stopPlayback', play: session.plays }, ...commands] }
    : { session: next, commands };
}

/** Hangs up; the result is decided when Asterisk says that the channel is gone. */
function leave(session: Session): Step {
  if (session.phase === 'leaving') return stay(session);
  return { session: { ...session, phase: 'leaving' }, commands: [{ do: 'hangup' }] };
}

function stopHearing(session: Session, now: number): Session {
  if (session.playingSince === null) return session;
  const played = Math.min(session.limits.messageMs, Math.max(0, Math.round(now - session.playingSince)));
  return { ...session, playingSince: null, heardMs: Math.max(session.heardMs, played) };
}

/**
 * The channel is gone and nobody saw how. If the message can have ended in that time, the parent may have
 * heard all of it: then the call is over, as unsure. Never twice comes before never in part.
 */
function onLost(session: Session, until: number, now: number): Step {
  const { playingSince, limits, completed, confirmed } = session;
  const perhapsAll = playingSince !== null && until - playingSince >= limits.messageMs;
  // We had hung up, or it had been said: what is known decides.
  if (completed || confirmed || session.phase === 'leaving')
    return finish(stopHearing(session, now), { sipCode: null, cause: null });
  if (perhapsAll) {
    return end(
      { ...session, heardMs: limits.messageMs },
      { outcome: 'unsure', sipCode: null, cause: null, interrupted: true },
    );
  }
  return interrupt(stopHearing(session, Math.min(now, until)));
}

function interrupt(session: Session): Step {
  return end(session, { outcome: 'interrupted', sipCode: null, cause: null, interrupted: true });
}

function finish(session: Session, destroyed: Destroyed): Step {
  const { sipCode, cause, analyticsBlock = false, rateLimited = false } = destroyed;
  const { progressed, rangOut } = session;
  if (session.abandoned && !session.completed && !session.confirmed) {
    // It may have ended just before we hung up.
    const perhapsAll = session.answered && session.heardMs >= session.limits.messageMs;
    return perhapsAll
      ? end(session, { outcome: 'unsure', sipCode: null, cause: null, interrupted: true })
      : interrupt(session);
  }
  const outcome = session.answered
    ? session.faulty && !session.completed
      ? 'failed'
      : outcomeOfListening(session)
    : outcomeOfEnding({ sipCode, cause, progressed, rangOut, analyticsBlock, rateLimited });
  return end(session, { sipCode, cause, outcome, interrupted: false });
}

function end(
  session: Session,
  result: Pick<SessionResult, 'outcome' | 'sipCode' | 'cause' | 'interrupted'>,
): Step {
  const { heardMs, digits } = session;
  const heard = result.outcome === 'interrupted' && heardMs > 0 ? 'partial' : heardLevelOf(result.outcome);
  return {
    session: { ...session, phase: 'ended', playingSince: null },
    commands: [
      {
        do: 'finish',
        result: { ...result, heard, heardMs, digits },
      },
    ],
  };
}

const stay = (session: Session): Step => ({ session, commands: [] });
