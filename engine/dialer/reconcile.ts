/**
 * After a start, a gap in Asterisk's events or a lost database connection, three parties may disagree about
 * a call: the ledger, Asterisk, and our memory. This compares them and lets each open attempt end once.
 *
 * The order is the argument for its safety:
 *
 * 1. No INVITE leaves while it works, and what waited for its permit is given back.
 * 2. Our calls are noted *before* Asterisk is asked for its channels: one that is placed in between is not
 *    taken for missing.
 * 3. A channel that is missing in the list is asked for once more, by itself, after a moment: its last event
 *    may be on the way. Only Asterisk's clear no means lost.
 * 4. Our calls are noted *before* the ledger is asked for open attempts, and what we know is written first:
 *    an attempt that ends in between is ours, not an earlier engine's.
 * 5. A channel of an earlier engine is listened to *before* its state is asked for: an answer in between is
 *    kept and handed on.
 */
import type { Channel } from '../ari/client.ts';
import type { AriEvent } from '../ari/events.ts';
import type { OpenAttempt } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import { isRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Telephony } from './interfaces.ts';
import { type LiveCall, limitsOf, playbackIdOf } from './live-call.ts';
import { advance, MAX_PLAYS, resumePlaying, resumeUnsure, type Step, startSession } from './session.ts';

/** Attempt ids are UUIDs; channels with other names are not ours (parents who call back). */
const OURS = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** A call that ended just now may still have its last event on the way to us. */
const GRACE_MS = 500;

export interface Moment {
  /** Wall clock, ms since the epoch; only to place Asterisk's start. */
  wall: number;
  /** Monotonic, ms: for everything else. */
  mono: number;
  /** When this Asterisk was started, wall clock: no call of before outlived that. */
  asteriskStartedAt: number;
  /** When a connection to Asterisk was first refused in the gap, monotonic: it was dead by then. */
  refusedAt: number | undefined;
}

/** The latest that a channel which is gone can have ended, on the monotonic clock. */
function endedAtLatest({ wall, mono, asteriskStartedAt, refusedAt }: Moment, begunAt: number): number {
  const restartedAt = mono - (wall - asteriskStartedAt);
  if (restartedAt <= begunAt) return mono;
  return Math.min(mono, restartedAt, refusedAt !== undefined && refusedAt > begunAt ? refusedAt : mono);
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

/**
 * Finds out where an attempt stands that has no session: its engine died. `answeredAgoMs` of the attempt is
 * as of `moment`. The message began no sooner than the answer was committed, so that is the bound: counting
 * from later would call a message short that was heard to its end.
 */
export async function resumeAttempt(
  attempt: OpenAttempt,
  listed: Channel | undefined,
  telephony: Telephony,
  policy: Policy,
  moment: Moment,
): Promise<Resumption> {
  const id = attempt.attemptId;
  const missed: AriEvent[] = [];
  let channel: Channel | undefined;
  if (listed !== undefined) {
    telephony.attach(id, (event) => missed.push(event));
    try {
      channel = await listen(id, telephony);
    } finally {
      telephony.detach(id);
    }
  }
  const limits = limitsOf(attempt, policy);
  const start = startSession(limits);
  const begunAt = attempt.answeredAgoMs === null ? null : moment.mono - attempt.answeredAgoMs;
  const found = (step: Step): Resumption => ({ step, missed, alive: channel !== undefined });
  if (channel === undefined) {
    // The ledger has no answer, so no message was started: nothing was heard.
    if (begunAt === null) return { ...found(start), lostUntil: moment.mono };
    return { ...found(resumePlaying(limits, 1, begunAt)), lostUntil: endedAtLatest(moment, begunAt) };
  }
  if (channel.state !== 'Up') return found(advanceStep(start, { type: 'ringing' }, moment.mono));
  if (begunAt === null) return found(advanceStep(start, { type: 'answered' }, moment.mono));
  for (let play = MAX_PLAYS; play >= 1; play -= 1) {
    if (await telephony.playbackExists(playbackIdOf(id, play)))
      return found(resumePlaying(limits, play, begunAt));
  }
  // Nothing is playing: either it is over, or it never began. Only the time can tell.
  if (moment.mono - begunAt >= limits.messageMs) return found(resumeUnsure(limits));
  return found(advanceStep(start, { type: 'answered' }, moment.mono));
}

/** Asks for the channel's events, then for its state; undefined when it is gone. */
async function listen(id: string, telephony: Telephony): Promise<Channel | undefined> {
  try {
    await telephony.subscribe(id);
  } catch (error) {
    // Asterisk knows no such channel any more.
    if (isRollcallError(error, 'ARI_REFUSED')) return undefined;
    throw error;
  }
  return telephony.channel(id);
}

function advanceStep(step: Step, event: Parameters<typeof advance>[1], now: number): Step {
  const next = advance(step.session, event, now);
  return { session: next.session, commands: [...step.commands, ...next.commands] };
}

/** Hangs up channels of ours that the ledger shows as ended or does not know: nobody would ever end them. */
export async function hangUpStrangers(
  channels: ReadonlyMap<string, Channel>,
  isKnown: (channelId: string) => boolean,
  telephony: Telephony,
  log: Log,
): Promise<void> {
  for (const id of channels.keys()) {
    if (!OURS.test(id) || isKnown(id)) continue;
    log.warn({ attempt: id }, 'hanging up a channel without an open attempt');
    await telephony.hangup(id);
  }
}
