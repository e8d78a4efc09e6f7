import type { AriEvent } from '../ari/events.ts';
import type { AttemptEnd, Claim } from '../domain/ledger.ts';
import { isAnalyticsBlock } from '../domain/outcome.ts';
import { formatForTrunk } from '../domain/phone.ts';
import type { Policy } from '../domain/policy.ts';
import { isRateLimit } from '../domain/rate-limit.ts';
import { decideRetry } from '../domain/retry.ts';
import { isRollcallError, RollcallError, toRollcallError } from '../errors.ts';
import { type Log, maskPhone } from '../log.ts';
import type { DialerMetrics, SipWatch, Telephony } from './interfaces.ts';
import type { LedgerWriter } from './ledger-writer.ts';
import type { Line, QueuedCall, TrunkVerdict } from './line.ts';
import type { Node } from './node.ts';
import {
  advance,
  type Command,
  type SessionEvent,
  type SessionLimits,
  type SessionResult,
  type Step,
  type TimerName,
  totalLimitMs,
} from './session.ts';

/** After a hang-up request, how long until we ask whether the channel is really gone. */
const GONE_CHECK_MS = 5_000;
/** After an originate without an answer, how long until we ask what became of it. */
const UNCERTAIN_CHECK_MS = 1_000;

/** After Asterisk's reply, how long the INVITE may take to leave before it counts as left. */
const WIRE_WAIT_MS = 1_000;
/** How long the copy of a SIP response may be behind the event that it explains. */
const REFUSAL_WAIT_MS = 100;
/** Codes whose words matter: a block by analytics, or a carrier that says we are too fast. */
const READ_WORDS: ReadonlySet<number> = new Set([403, 480, 500, 503, 603]);
/** After Asterisk itself has ended a call by its absolute time-out, how long its end may take. */
export const DEADLINE_SLACK_MS = 15_000;

/** Looks at Asterisk that are due: did the INVITE leave, is the channel gone, does the playback play, why was it refused. */
type Look = 'wire' | 'gone' | 'playback' | 'refusal';

export interface CallDependencies {
  telephony: Telephony;
  node: Node;
  writer: LedgerWriter;
  metrics: DialerMetrics;
  log: Log;
  now: () => number;
  policy: Policy;
  country: string;
  soundPathOf: (promptHash: string) => string;
  sip: SipWatch;
  /** True while our connection to the call's node stands and is reconciled. */
  nodeIsReady: () => boolean;
  /** The trunk refused us (401, 403, 407): it must not be used again until somebody looks. */
  onTrunkRefused: (sipCode: number | null) => void;
  onEnded: (call: LiveCall) => void;
}

/** A call from its claim to its outcome: feeds the session with events and carries out its commands. */
export interface LiveCall extends QueuedCall {
  readonly claim: Claim;
  /** Asterisk may know this channel: `ari.channels()` can be asked about it. */
  readonly sent: boolean;
  readonly answered: boolean;
  readonly playing: { play: number; since: number } | undefined;
  /** By then Asterisk has ended it, whatever happened to us. Monotonic. */
  readonly deadline: number;
  feed(event: SessionEvent): void;
  /** Takes an event of its channel that came before it was there. */
  handle(event: AriEvent): void;
  /** The call is another engine's now: no timer, no event, no result of ours. */
  forget(): void;
}

export const limitsOf = (claim: Claim, policy: Policy): SessionLimits => ({
  ringMs: policy.ringSeconds * 1000,
  pauseMs: policy.answerPauseMs,
  keyWaitMs: policy.keyWaitMs,
  messageMs: claim.messageMs,
});

/** `<attempt>.<n>`: known beforehand, so that a restarted engine can ask for it. */
export const playbackIdOf = (attemptId: string, play: number): string => `${attemptId}.${play}`;

/** Makes the live call of a claim; `step` is where its session starts. Attaches to the channel's events. */
export function createLiveCall(
  claim: Claim,
  line: Line,
  step: Step,
  deps: CallDependencies,
  { alreadySent = false } = {},
): LiveCall {
  const { telephony, writer, now, policy } = deps;
  const id = claim.attemptId;
  const log = deps.log.child({
    broadcast: claim.broadcastId,
    call: claim.callId,
    attempt: id,
    trunk: line.trunk.name,
  });
  const timers = new Map<TimerName | Look, NodeJS.Timeout>();
  const startedAt = now();
  const onWire = Promise.withResolvers<number>();
  let deadline = startedAt + totalLimitMs(step.session.limits) + DEADLINE_SLACK_MS;
  let session = step.session;
  let sent = alreadySent;
  /** When the INVITE was asked for, and later when it left. */
  let sentAt = startedAt;
  /** It rings or is answered, and the line knows that its trunk works. */
  let worked = false;
  let forgotten = false;

  const disarm = (timer: TimerName | Look) => {
    clearTimeout(timers.get(timer));
    timers.delete(timer);
  };
  const arm = (timer: TimerName | Look, ms: number, then: () => void) => {
    disarm(timer);
    timers.set(timer, setTimeout(then, ms));
  };

  const execute = (command: Command): void => {
    switch (command.do) {
      case 'arm':
        arm(command.timer, command.ms, () => feed({ type: 'timer', timer: command.timer }));
        break;
      case 'disarm':
        disarm(command.timer);
        break;
      case 'record':
        writer
          .answered({ attemptId: id, fence: claim.fence })
          .then(() => feed({ type: 'recorded' }), onUnexpected);
        break;
      case 'play':
        telephony
          .play(id, playbackIdOf(id, command.play), `sound:${deps.soundPathOf(claim.promptHash)}`)
          .catch((error) => onPlayRefused(command.play, error));
        break;
      case 'stopPlayback':
        telephony.stopPlayback(playbackIdOf(id, command.play)).catch(onUnexpected);
        break;
      case 'hangup':
        hangUp();
        break;
      case 'finish':
        finish(command.result);
        break;
    }
  };

  const feed = (event: SessionEvent): void => {
    if (forgotten) return;
    const next = advance(session, event, now());
    if (next.session.phase !== session.phase)
      log.debug({ from: session.phase, to: next.session.phase }, 'phase');
    session = next.session;
    if (session.progressed && !worked && !alreadySent) {
      worked = true;
      line.worked(sentAt);
    }
    for (const command of next.commands) execute(command);
  };

  const onUnexpected = (error: unknown): void => log.warn({ err: toRollcallError(error) }, 'request failed');

  const onPlayRefused = (play: number, error: unknown): void => {
    onUnexpected(error);
    // Without an answer it may be playing all the same. A call that is gone is for the next look to say.
    if (isRollcallError(error, 'ARI_UNAVAILABLE'))
      arm('playback', UNCERTAIN_CHECK_MS, () => checkPlayback(play));
    else feed({ type: 'playRefused', play });
  };

  const checkPlayback = (play: number): void => {
    Promise.all([telephony.channel(id), telephony.playbackExists(playbackIdOf(id, play))]).then(
      ([channel, plays]) => {
        if (channel === undefined) arm('gone', 0, checkAlive);
        else if (!plays) feed({ type: 'playLost', play });
      },
      (error) => {
        onUnexpected(error);
        if (!forgotten) arm('playback', UNCERTAIN_CHECK_MS, () => checkPlayback(play));
      },
    );
  };

  /** Again and again, until Asterisk says that the channel is gone. */
  const hangUp = (): void => {
    telephony.hangup(id).catch(onUnexpected);
    arm('gone', GONE_CHECK_MS, checkAlive);
  };

  /** Asks Asterisk whether the channel lives; only a clear no counts. */
  const checkAlive = (): void => {
    telephony.channel(id).then(
      (channel) => {
        if (channel === undefined) feed({ type: 'lost', until: now() });
        else {
          onWire.resolve(now());
          if (session.phase === 'leaving') hangUp();
        }
      },
      (error) => {
        onUnexpected(error);
        if (now() > deadline) feed({ type: 'lost', until: now() });
        else arm('gone', GONE_CHECK_MS, checkAlive);
      },
    );
  };

  const onAriEvent = (event: AriEvent): void => {
    // Asterisk replies to an originate before a thread of its own dials; its first Dial event comes after.
    if (event.type === 'Dial')
      deps.sip.inviteSeen(event.peer.protocol_id ?? '').then(onWire.resolve, onUnexpected);
    if (event.type === 'ChannelDestroyed') {
      onDestroyed(event.tech_cause ?? null, event.cause, event.channel.protocol_id ?? '');
      return;
    }
    const translated = translate(event);
    if (translated !== undefined) feed(translated);
  };

  /** Some refusals are told apart by their words only, whose copy travels by another socket. */
  const onDestroyed = (sipCode: number | null, cause: number, sipCallId: string): void => {
    const tell = () => feed({ type: 'destroyed', sipCode, cause, ...meaningOf(sipCode, sipCallId) });
    const wordsMatter = sipCode !== null && READ_WORDS.has(sipCode) && !session.answered;
    if (wordsMatter && deps.sip.listening && deps.sip.refusalOf(sipCallId) === undefined)
      arm('refusal', REFUSAL_WAIT_MS, tell);
    else tell();
  };

  const meaningOf = (sipCode: number | null, sipCallId: string) => {
    const refusal = deps.sip.refusalOf(sipCallId);
    return {
      analyticsBlock: sipCode === 603 && isAnalyticsBlock(refusal?.reason ?? ''),
      rateLimited: isRateLimit({
        sipCode,
        phrase: refusal === undefined ? null : `${refusal.phrase} ${refusal.reason} ${refusal.warning}`,
        retryAfter:
          refusal === undefined || refusal.retryAfter === '' ? null : Number.parseInt(refusal.retryAfter, 10),
      }),
    };
  };

  const forget = (): void => {
    if (forgotten) return;
    forgotten = true;
    for (const timer of [...timers.keys()]) disarm(timer);
    telephony.detach(id);
    // Whoever waits for the INVITE waits for nothing now.
    onWire.resolve(now());
    deps.node.callEnded();
  };

  const finish = (result: SessionResult): void => {
    forget();
    const heardShare = result.heardMs / claim.messageMs;
    const verdict = decideRetry(result.outcome, heardShare, claim.history, policy);
    writer.ended({ attemptId: id, fence: claim.fence, ...result, ...verdict });
    const seconds = Math.round(now() - startedAt) / 1000;
    log.info({ to: maskPhone(claim.phone), ...result, ...verdict, seconds }, 'attempt ended');
    const { outcome } = result;
    deps.metrics.attemptEnded({ outcome, trunk: line.trunk.name, node: deps.node.name, seconds });
    if (outcome === 'trunk_refused') deps.onTrunkRefused(result.sipCode);
    line.freeChannel(worked ? 'told' : verdictOnTrunk(result), sentAt);
    deps.onEnded(call);
  };

  const originate = async (): Promise<void> => {
    const endpoint = dialString(claim, line, deps.country);
    await telephony.originate({
      channelId: id,
      endpoint,
      callerId: claim.callerId ?? line.trunk.callerId ?? undefined,
      // Our own timer is first; these end a call of an engine that died.
      timeoutSeconds: Math.ceil(session.limits.ringMs / 1000) + 5,
      variables: { 'TIMEOUT(absolute)': String(Math.ceil(totalLimitMs(session.limits) / 1000) + 10) },
    });
  };

  const call: LiveCall = {
    claim,
    get sent() {
      return sent;
    },
    get answered() {
      return session.answered;
    },
    get deadline() {
      return deadline;
    },
    get playing() {
      const { playingSince, plays } = session;
      return playingSince === null ? undefined : { play: plays, since: playingSince };
    },
    feed,
    handle: onAriEvent,
    forget,
    readiness() {
      if (!deps.nodeIsReady()) return 'never';
      return deps.node.mayOriginate ? 'now' : 'later';
    },
    async send() {
      const left = deps.node.originating();
      sentAt = now();
      deadline = sentAt + totalLimitMs(session.limits) + DEADLINE_SLACK_MS;
      for (const command of step.commands) execute(command);
      log.debug({ to: maskPhone(claim.phone) }, 'INVITE');
      try {
        await originate();
        // Without a Dial event in this time there was none to see, for example in a gap.
        if (!forgotten) arm('wire', WIRE_WAIT_MS, () => onWire.resolve(now()));
      } catch (error) {
        log.warn({ err: toRollcallError(error) }, 'originate failed');
        // Asterisk may still read the request: it has not left, for all we know, until a look says more.
        if (isRollcallError(error, 'ARI_UNAVAILABLE')) arm('gone', UNCERTAIN_CHECK_MS, checkAlive);
        else feed({ type: 'refused' });
      }
      sent = true;
      const leftAt = await onWire.promise;
      disarm('wire');
      left();
      // A stop is acknowledged when no claimed call is left: only now can its INVITE not come any more.
      writer.placed({ attemptId: id, fence: claim.fence });
      return leftAt;
    },
    giveBack() {
      forget();
      writer.ended(neverSent(claim));
      deps.onEnded(call);
    },
  };
  // First: it throws where somebody else listens already.
  telephony.attach(id, onAriEvent);
  deps.node.callBegan();
  // A call that waits for its permit is not dialling yet: its ring timer starts with the INVITE.
  if (alreadySent) for (const command of step.commands) execute(command);
  return call;
}

/** How an attempt ends whose INVITE never left: it counts as nothing, and the call is ready again. */
export const neverSent = ({ attemptId, fence }: Pick<Claim, 'attemptId' | 'fence'>): AttemptEnd => ({
  attemptId,
  fence,
  outcome: 'interrupted',
  heard: 'none',
  heardMs: 0,
  sipCode: null,
  cause: null,
  digits: '',
  interrupted: true,
  counted: 'nothing',
  retryInMs: 0,
  reroute: false,
});

/** What a call that neither rang nor was answered says of its trunk. */
function verdictOnTrunk({ outcome, sipCode }: SessionResult): TrunkVerdict {
  switch (outcome) {
    case 'trunk_failure':
      return sipCode === null || sipCode === 408 ? 'timed_out' : 'failed';
    case 'trunk_refused':
      return 'failed';
    case 'rate_limited':
      return 'rate_limited';
    case 'interrupted':
    case 'failed':
      return 'nothing';
    default:
      return 'worked';
  }
}

/** The only place where a number meets a dial string; both parts are checked again here. */
function dialString(claim: Claim, line: Line, country: string): string {
  const { name, numberFormat, numberPrefix } = line.trunk;
  const number = formatForTrunk(claim.phone, numberFormat, country, numberPrefix);
  if (!/^\+?[0-9]{3,20}$/.test(number) || !/^[A-Za-z0-9_-]+$/.test(name)) {
    throw new RollcallError('INTERNAL', `attempt ${claim.attemptId} has no dialable number or endpoint`);
  }
  return `PJSIP/${number}@${name}`;
}

/** What an ARI event means to the session; undefined: nothing. */
function translate(event: AriEvent): SessionEvent | undefined {
  switch (event.type) {
    case 'Dial':
      return ['RINGING', 'PROGRESS'].includes(event.dialstatus) ? { type: 'ringing' } : undefined;
    case 'StasisStart':
      return { type: 'answered' };
    case 'ChannelDtmfReceived':
      return { type: 'digit', digit: event.digit };
    case 'PlaybackFinished':
      return {
        type: 'playbackFinished',
        play: Number(event.playback.id.split('.').at(-1)),
        done: event.playback.state === 'done',
      };
    default:
      return undefined;
  }
}
