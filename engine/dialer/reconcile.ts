/**
 * After a start, a take-over, a gap in Asterisk's events or a lost database connection, three parties may
 * disagree about a call: the ledger, Asterisk, and our memory. This compares them and lets each open attempt
 * end once. The order is the argument for its safety:
 *
 * 1. A trunk's open attempts are read *after* they were put under our fence: what an owner before us still
 *    writes changes nothing, and what it claims is refused.
 * 2. No INVITE leaves by a node while we compare with it, and what waited for its permit is given back.
 * 3. Our calls are noted *before* Asterisk is asked for its channels: one that is placed in between is not
 *    taken for missing.
 * 4. A channel that is missing in the list is asked for once more, by itself, after a moment: its last event
 *    may be on the way. Only Asterisk's clear no means lost.
 * 5. A channel of an earlier owner is listened to *before* its state is asked for: an answer in between is
 *    kept and handed on.
 * 6. The ledger is asked which attempts are open *after* Asterisk was asked for its channels: a channel whose
 *    attempt is not open then is nobody's.
 */
import type { Channel } from '../ari/client.ts';
import type { AriEvent } from '../ari/events.ts';
import type { OpenAttempt } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import { isRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Telephony } from './interfaces.ts';
import { DEADLINE_SLACK_MS, type LiveCall, limitsOf, playbackIdOf } from './live-call.ts';
import {
  advance,
  MAX_PLAYS,
  resumePlayed,
  resumePlaying,
  type SessionLimits,
  type SessionResult,
  type Step,
  startSession,
} from './session.ts';

const ATTEMPT_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Attempt ids are UUIDs; channels with other names are not ours (parents who call back). */
export const isOurs = (channelId: string): boolean => ATTEMPT_ID.test(channelId);

/**
 * So much of a message sent is all of it: its last packet may be short. What was stopped in the middle (by a key,
 * a moment before its engine died) is begun again.
 */
const MOST_OF_IT = 0.9;
/** A call that ended just now may still have its last event on the way to us. */
export const GRACE_MS = 500;

export interface Moment {
  /** Now, monotonic. */
  mono: number;
  /** Asterisk was started anew since we were last connected, or nothing has listened there for a while. */
  died: boolean;
  /** When a connection to Asterisk was first refused in the gap, monotonic: it was dead by then. */
  refusedAt: number | undefined;
}

/** The latest that a channel which is gone can have ended, on the monotonic clock. */
export function endedAtLatest({ mono, died, refusedAt }: Moment, begunAt: number): number {
  return died && refusedAt !== undefined && refusedAt > begunAt ? refusedAt : mono;
}

/**
 * What our own sessions missed: channels that vanished, answers and ends of playbacks that nobody told us.
 * `sentCalls` were on the wire before Asterisk was asked for `channels`.
 */
export async function reconcileLive(
  sentCalls: readonly LiveCall[],
  channels: ReadonlyMap<string, Channel>,
  telephony: Telephony,
  moment: Moment,
  log: Log,
): Promise<void> {
  const missing = sentCalls.filter(({ claim }) => !channels.has(claim.attemptId));
  for (const call of sentCalls) {
    if (channels.get(call.claim.attemptId)?.state !== 'Up') continue;
    if (!call.answered) call.feed({ type: 'answered' });
    const { playing } = call;
    if (playing === undefined) continue;
    const playbackId = playbackIdOf(call.claim.attemptId, playing.play);
    if (!(await telephony.playbackExists(playbackId))) {
      const done = moment.mono - playing.since >= call.claim.messageMs;
      call.feed({ type: 'playbackFinished', play: playing.play, done });
    }
  }
  if (missing.length === 0) return;
  await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
  for (const call of missing) {
    if ((await telephony.channel(call.claim.attemptId)) !== undefined) continue;
    // One that ended in the meantime ignores this.
    call.feed({ type: 'lost', until: endedAtLatest(moment, call.playing?.since ?? moment.mono) });
  }
  log.warn({ calls: missing.length }, 'calls were missing after a gap');
}

/** Where the session of an earlier engine's attempt goes on, and what happened while that was found out. */
export interface Resumption {
  step: Step;
  /** The channel is gone; it may have lived until then. */
  lostUntil?: number;
  /** Events of the channel since we listen to it, in order. */
  missed: AriEvent[];
  alive: boolean;
}

/** An open attempt of an earlier owner. Times are monotonic. */
export interface Inherited {
  attempt: OpenAttempt;
  /** When its answer was committed, or a moment before that; null: not answered. */
  begunAt: number | null;
  /** By then Asterisk has ended it by itself. */
  deadline: number;
}

/** `readAt`: monotonic, from before the ledger was asked. */
export function inherit(attempt: OpenAttempt, readAt: number): Inherited {
  const { answeredAgoMs, deadlineInMs } = attempt;
  return {
    attempt,
    begunAt: answeredAgoMs === null ? null : readAt - answeredAgoMs,
    deadline: readAt + deadlineInMs + DEADLINE_SLACK_MS,
  };
}

/**
 * Finds out where an attempt stands that has no session: its engine died. The message began no sooner than the
 * answer was committed, so that is the bound: counting from later would call a message short that was heard to
 * its end.
 */
export async function resumeAttempt(
  inherited: Inherited,
  telephony: Telephony,
  policy: Policy,
  moment: Moment,
): Promise<Resumption> {
  const id = inherited.attempt.attemptId;
  const missed: AriEvent[] = [];
  // Until the call itself listens: what happens meanwhile is handed on.
  telephony.attach(id, (event) => missed.push(event));
  try {
    const channel = await listen(id, telephony);
    if (channel !== undefined)
      return { step: await stepOf(channel, inherited, telephony, policy, moment), missed, alive: true };
    const { begunAt } = inherited;
    return {
      step: resumeLost(limitsOf(inherited.attempt, policy), begunAt),
      lostUntil: begunAt === null ? moment.mono : endedAtLatest(moment, begunAt),
      missed,
      alive: false,
    };
  } finally {
    telephony.detach(id);
  }
}

/** Where the session of a channel that lives goes on. */
async function stepOf(
  channel: Channel,
  { attempt, begunAt }: Inherited,
  telephony: Telephony,
  policy: Policy,
  moment: Moment,
): Promise<Step> {
  const id = attempt.attemptId;
  const limits = limitsOf(attempt, policy);
  const start = startSession(limits);
  if (channel.state !== 'Up') return advanceStep(start, { type: 'ringing' }, moment.mono);
  const sentMs = await telephony.audioSentMs(id);
  for (let play = MAX_PLAYS; play >= 1; play -= 1) {
    if (await telephony.playbackExists(playbackIdOf(id, play)))
      return resumePlaying(limits, play, begunAt ?? moment.mono - sentMs);
  }
  // Nothing is playing: either it is over, or it never began. Asterisk sends no audio but the message.
  if (sentMs >= limits.messageMs * MOST_OF_IT) return resumePlayed(limits);
  return advanceStep(start, { type: 'answered' }, moment.mono);
}

/** Asks for the channel's events, then for its state; undefined when it is gone. */
async function listen(id: string, telephony: Telephony): Promise<Channel | undefined> {
  try {
    await telephony.subscribe(id);
  } catch (error) {
    // Asterisk knows no such channel any more; 404 would be about our application.
    if (isRollcallError(error, 'ARI_REFUSED') && error.details.status === 422) return undefined;
    throw error;
  }
  return telephony.channel(id);
}

function advanceStep(step: Step, event: Parameters<typeof advance>[1], now: number): Step {
  const next = advance(step.session, event, now);
  return { session: next.session, commands: [...step.commands, ...next.commands] };
}

/** Hangs up channels of attempts that are not open: nobody would ever end them. */
export async function hangUpStrangers(ids: readonly string[], telephony: Telephony, log: Log): Promise<void> {
  for (const id of ids) {
    log.warn({ attempt: id }, 'hanging up a channel without an open attempt');
    await telephony.hangup(id);
  }
}

/** Where a session stood whose channel is gone: without an answer in the ledger no message was started. */
const resumeLost = (limits: SessionLimits, begunAt: number | null): Step =>
  begunAt === null ? startSession(limits) : resumePlaying(limits, 1, begunAt);

/** How an attempt ended whose channel is gone, seen by nobody; it may have lived until then (monotonic). */
export function lostResult({ attempt, begunAt }: Inherited, until: number, policy: Policy): SessionResult {
  const { session } = resumeLost(limitsOf(attempt, policy), begunAt);
  const [finish] = advance(session, { type: 'lost', until }, until).commands;
  if (finish?.do !== 'finish') throw new Error('a session whose channel is lost must end');
  return finish.result;
}
