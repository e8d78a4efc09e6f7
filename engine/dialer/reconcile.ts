/**
 * After a start, a gap in Asterisk's events or a lost database connection, three parties may disagree about
 * a call: the ledger, Asterisk, and our memory. This compares them and lets each open attempt end once.
 */
import type { Channel } from '../ari/client.ts';
import type { OpenAttempt } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import type { Log } from '../log.ts';
import type { Telephony } from './interfaces.ts';
import { type LiveCall, limitsOf, playbackIdOf } from './live-call.ts';
import { advance, MAX_PLAYS, resumePlaying, resumeUnsure, type Step, startSession } from './session.ts';

/** Attempt ids are UUIDs; channels with other names are not ours (parents who call back). */
const OURS = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** A call that ended just now may still have its last event on the way to us. */
const GRACE_MS = 500;

export interface Moment {
  /** Wall clock, ms since the epoch: for what the ledger says. */
  wall: number;
  /** Monotonic, ms: for what the sessions say. */
  mono: number;
  /** When this Asterisk was started, wall clock: no call of before outlived that. */
  asteriskStartedAt: number;
  /** When a connection to Asterisk was first refused in the gap, monotonic: it was dead by then. */
  refusedAt: number | undefined;
}

/** When a channel that is gone can have ended at the latest, on the monotonic clock. */
export function latestEnd({ wall, mono, asteriskStartedAt, refusedAt }: Moment, begun: number): number {
  const restart = mono - (wall - asteriskStartedAt);
  if (restart <= begun) return mono;
  return Math.min(mono, restart, refusedAt !== undefined && refusedAt > begun ? refusedAt : mono);
}

/**
 * What our own sessions missed: channels that vanished, answers and ends of playbacks that nobody told us.
 * `before` is the moment when Asterisk was asked for `channels`.
 */
export async function reconcileLive(
  calls: Iterable<LiveCall>,
  channels: ReadonlyMap<string, Channel>,
  telephony: Telephony,
  moment: Moment,
  log: Log,
): Promise<void> {
  const missing: LiveCall[] = [];
  for (const call of calls) {
    const channel = channels.get(call.claim.attemptId);
    if (channel === undefined) {
      if (call.sent) missing.push(call);
      continue;
    }
    if (channel.state === 'Up' && !call.answered) call.feed({ type: 'answered' });
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
  // Those that ended in the meantime ignore this.
  for (const call of missing) {
    call.feed({ type: 'lost', until: latestEnd(moment, call.playing?.since ?? moment.mono) });
  }
  log.warn({ calls: missing.length }, 'calls lost in a gap');
}

/** Where the session of an attempt starts that has no session: its engine died. */
export async function resumeAttempt(
  attempt: OpenAttempt,
  channel: Channel | undefined,
  telephony: Telephony,
  policy: Policy,
  moment: Moment,
): Promise<{ step: Step; lostUntil?: number }> {
  const limits = limitsOf(attempt, policy);
  const start = startSession(limits);
  const answeredFor = attempt.answeredAt === null ? null : moment.wall - attempt.answeredAt.getTime();
  // The message cannot have begun before the pause was over.
  const since = answeredFor === null ? null : moment.mono - answeredFor + limits.pauseMs;
  if (channel === undefined) {
    // The ledger has no answer, so no message was started: nothing was heard.
    if (since === null) return { step: start, lostUntil: moment.mono };
    return { step: resumePlaying(limits, 1, since), lostUntil: latestEnd(moment, since) };
  }
  if (channel.state !== 'Up') return { step: advanceStep(start, { type: 'ringing' }, moment.mono) };
  if (since === null) return { step: advanceStep(start, { type: 'answered' }, moment.mono) };
  for (let play = MAX_PLAYS; play >= 1; play -= 1) {
    if (await telephony.playbackExists(playbackIdOf(attempt.attemptId, play))) {
      return { step: resumePlaying(limits, play, Math.min(since, moment.mono)) };
    }
  }
  // Nothing is playing: either it is over, or it never began. Only the time can tell.
  if (moment.mono - since >= limits.messageMs) return { step: resumeUnsure(limits) };
  return { step: advanceStep(start, { type: 'answered' }, moment.mono) };
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
