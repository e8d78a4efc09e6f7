import type { Channel } from '../ari/client.ts';
import type { Clock } from '../clock.ts';
import { mayCall } from '../domain/delivery-window.ts';
import type { Claim, OpenAttempt } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ConnectTelephony, DialerMetrics, IsTransient, Ledger, Telephony } from './interfaces.ts';
import { createLedgerWriter } from './ledger-writer.ts';
import { createLine, type Line } from './line.ts';
import { type CallDependencies, createLiveCall, type LiveCall, limitsOf, NEVER_SENT } from './live-call.ts';
import { hangUpStrangers, type Moment, reconcileLive, resumeAttempt } from './reconcile.ts';
import { MAX_PLAYS, startSession, totalLimitMs } from './session.ts';
import { createWaker } from './waker.ts';

export interface DialerOptions {
  ledger: Ledger;
  connect: ConnectTelephony;
  clock: Clock;
  log: Log;
  metrics: DialerMetrics;
  /** The Asterisk node's name in the ledger. */
  node: string;
  isTransient: IsTransient;
  /** Path of a prompt's audio as Asterisk sees it, without extension. */
  soundPathOf: (promptHash: string) => string;
  /** Resolves when the INVITE with this SIP Call-ID has left; at once where that cannot be seen. */
  inviteSeen: (sipCallId: string) => Promise<void>;
  /** True when the carrier said that analytics blocked the call with this SIP Call-ID. */
  isBlocked: (sipCallId: string) => boolean;
}

export interface Dialer {
  /** There may be work, or a trunk or broadcast changed. */
  wake(): void;
  /** True when calls can be placed; otherwise why not. */
  status(): true | string;
  /**
   * No new INVITE from now on; live calls may finish for `graceMs`, then they are hung up and shown as
   * interrupted. Resolves when every result is in the ledger and Asterisk is left.
   */
  drain(graceMs: number): Promise<void>;
}

/** At least this often the loop looks for retries that came due, expired calls and changed settings. */
const TURN_MS = 1_000;
const TROUBLE_MS = 250;
/** At a shutdown: how long calls that we hang up may take to end, and the last results to be written. */
const HANG_UP_MS = 3_000;
const LAST_WRITES_MS = 10_000;

/** Starts the dialer: permits, claim, originate, session, outcome, for one Asterisk node. */
export function startDialer(options: DialerOptions): Dialer {
  const { ledger, clock, metrics, node, isTransient } = options;
  const log = options.log.child({ node });
  const now = () => clock.monotonic();
  const waker = createWaker();
  const writer = createLedgerWriter(ledger, { log, isTransient });
  const calls = new Map<string, LiveCall>();
  const lines = new Map<string, Line>();
  /** Trunks that refused us, with the reason, until that is in the ledger. */
  const refusals = new Map<string, string>();

  let settings: { policy: Policy; zones: string[]; country: string } | undefined;
  let asteriskStartedAt = 0;
  let refusedAt: number | undefined;
  let mustReconcile = true;
  /** Once true, an attempt that is open in the ledger and unknown to us is one of our own. */
  let reconciledOnce = false;
  let replaced = false;
  let draining = false;
  let trouble: string | undefined = 'starting';
  let downBecause = 'not connected yet';
  let woken = true;
  let housekeptAt = 0;

  const telephony: Telephony = options.connect({
    onUp: (startedAt) => {
      log.info({ startedAt }, 'connected to Asterisk');
      metrics.telephony(true);
      asteriskStartedAt = startedAt.getTime();
      mustReconcile = true;
      waker.wake();
    },
    onDown: (error, refused) => {
      if (refused) refusedAt ??= now();
      downBecause = error.message;
      metrics.telephony(false);
      log.warn({ err: toRollcallError(error) }, 'no events from Asterisk');
      holdAll();
    },
    onReplaced: () => {
      replaced = true;
      holdAll();
      // They are the other engine's calls now: our timers and results would only disturb it.
      for (const call of calls.values()) call.forget();
      calls.clear();
      log.fatal('another engine took over this Stasis application: this one places no more calls');
    },
    onStray: (event) => {
      metrics.strayEvent(event.type);
      log.debug({ type: event.type }, 'event of a channel that is not ours');
    },
  });

  /** No INVITE leaves, and what waits for its permit is given back: by the time we go on, all may differ. */
  const holdAll = (): void => {
    for (const line of lines.values()) {
      line.hold();
      line.giveBackQueue();
    }
  };

  const dependencies = (): CallDependencies => {
    if (settings === undefined) throw new Error('settings are loaded before the first call');
    return {
      telephony,
      writer,
      metrics,
      log,
      now,
      policy: settings.policy,
      country: settings.country,
      soundPathOf: options.soundPathOf,
      isBlocked: options.isBlocked,
      inviteSeen: options.inviteSeen,
      onTrunkRefused: refuseTrunk,
      onEnded: (call) => calls.delete(call.claim.attemptId),
    };
  };

  const refuseTrunk = (trunkId: string, sipCode: number | null): void => {
    const line = lines.get(trunkId);
    if (line === undefined || !line.trunk.active) return;
    line.update({ ...line.trunk, active: false });
    refusals.set(trunkId, `the carrier answered ${sipCode}: check the trunk's credentials and address`);
    log.error(
      { trunk: line.trunk.name, sipCode },
      'the trunk refuses us: stopped until it is set active again',
    );
    woken = true;
    waker.wake();
  };

  /** Writes down which trunks refused us; until the ledger shows it, what it says of them is old. */
  const storeRefusals = async (): Promise<void> => {
    for (const [trunkId, reason] of refusals) {
      await ledger.refuseTrunk(trunkId, reason);
      refusals.delete(trunkId);
    }
  };

  const place = (claim: Claim, line: Line): void => {
    const deps = dependencies();
    const call = createLiveCall(claim, line, startSession(limitsOf(claim, deps.policy)), deps);
    calls.set(claim.attemptId, call);
    line.enqueue(call);
  };

  const loadSettings = async (): Promise<void> => {
    await storeRefusals();
    const [trunks, rules, zones] = await Promise.all([ledger.trunks(), ledger.rules(), ledger.zones()]);
    settings = { ...rules, zones };
    for (const trunk of trunks) {
      const line = lines.get(trunk.id);
      if (line !== undefined) {
        line.update({ ...trunk, active: trunk.active && !refusals.has(trunk.id) });
        continue;
      }
      // What a process before us sent counts against the cap as well.
      const ages = await ledger.recentSends(trunk.id, RECENT_MS);
      const time = now();
      lines.set(
        trunk.id,
        createLine(
          trunk,
          now,
          ages.map((age) => time - age),
          waker.wake,
        ),
      );
    }
  };

  /** See reconcile.ts for why it goes in this order. */
  const reconcile = async (): Promise<void> => {
    // Set first: a connection that comes anew in the meantime asks for another round.
    mustReconcile = false;
    holdAll();
    const refused = refusedAt;
    const sentCalls = [...calls.values()].filter((call) => call.sent);
    const channels = new Map((await telephony.channels()).map((channel) => [channel.id, channel]));
    const gap: Moment = { wall: clock.now().getTime(), mono: now(), asteriskStartedAt, refusedAt: refused };
    await reconcileLive(sentCalls, channels, telephony, gap, log);

    const ours = new Set(calls.keys());
    await writer.flush();
    const open = await ledger.openAttempts(node);
    const moment: Moment = { ...gap, wall: clock.now().getTime(), mono: now() };
    for (const attempt of open) {
      if (!ours.has(attempt.attemptId)) await takeOver(attempt, channels.get(attempt.attemptId), moment);
    }
    const known = new Set(open.map(({ attemptId }) => attemptId));
    const isKnown = (id: string) => known.has(id) || ours.has(id);
    await hangUpStrangers(channels, isKnown, telephony, log);
    await writer.flush();

    if (mustReconcile || !telephony.connected) return;
    refusedAt = undefined;
    reconciledOnce = true;
    for (const line of lines.values()) line.unhold();
  };

  /** An open attempt that we have no call for. */
  const takeOver = async (
    attempt: OpenAttempt,
    listed: Channel | undefined,
    moment: Moment,
  ): Promise<void> => {
    const line = lines.get(attempt.trunkId);
    if (line === undefined) return;
    if (listed === undefined && attempt.state === 'claimed' && reconciledOnce) {
      // Claimed by this process, which has no such call: the claim's reply was lost, nothing was sent.
      writer.ended({ attemptId: attempt.attemptId, ...NEVER_SENT });
      return;
    }
    const deps = dependencies();
    const resumed = await resumeAttempt(attempt, listed, telephony, deps.policy, moment);
    line.adopt();
    const call = createLiveCall(attempt, line, resumed.step, deps, { alreadySent: true });
    calls.set(attempt.attemptId, call);
    log.warn({ attempt: attempt.attemptId, alive: resumed.alive }, 'attempt of an earlier run');
    for (const event of resumed.missed) call.handle(event);
    if (resumed.lostUntil !== undefined) call.feed({ type: 'lost', until: resumed.lostUntil });
  };

  /** Settings and the ledger's own chores: once a second, and when somebody woke us from outside. */
  const housekeep = async (): Promise<void> => {
    if (!woken && now() - housekeptAt < TURN_MS) return;
    woken = false;
    await loadSettings();
    await ledger.settle();
    housekeptAt = now();
  };

  /** One look at everything; returns how long nothing is to be done, in ms. */
  const turn = async (): Promise<number> => {
    await housekeep();
    if (!telephony.connected) {
      trouble = `no connection to Asterisk: ${downBecause}`;
      return TROUBLE_MS;
    }
    if (replaced) {
      trouble =
        'another engine uses the same Stasis application: stop one of the two, and start this one again';
      return TURN_MS;
    }
    if (mustReconcile) await reconcile();
    if (draining || mustReconcile || !telephony.connected) return TROUBLE_MS;
    trouble = undefined;
    let waitMs = TURN_MS;
    for (const line of lines.values()) waitMs = Math.min(waitMs, await fill(line));
    metrics.lines(
      [...lines.values()].map((line) => ({
        trunk: line.trunk.name,
        inUse: line.inUse,
        max: line.trunk.maxChannels,
        permits: line.room(now()),
      })),
    );
    return waitMs;
  };

  /** Claims what a line has permits for; returns when to come again. */
  const fill = async (line: Line): Promise<number> => {
    if (settings === undefined) return TURN_MS;
    const { policy, zones } = settings;
    // The clock is asked at every claim, and a claim is dialled within a fraction of a second.
    const at = clock.now();
    const openZones = zones.filter((zone) => mayCall(at, zone, policy));
    const limit = line.room(now());
    if (openZones.length === 0) return TURN_MS;
    // Full channels free themselves with a wake; only permits come back by the passing of time.
    if (limit === 0) return line.inUse < line.trunk.maxChannels ? line.nextRoomMs(now()) : TURN_MS;
    const began = now();
    const claims = await ledger.claim({
      trunkId: line.trunk.id,
      node,
      limit,
      openZones,
      fixedMs: fixedLimitMs(policy),
      messagePlays: MAX_PLAYS,
    });
    metrics.claimed({ calls: claims.length, seconds: (now() - began) / 1000 });
    for (const claim of claims) place(claim, line);
    return claims.length < limit ? TURN_MS : line.nextRoomMs(now());
  };

  const run = async (): Promise<void> => {
    while (!draining) {
      let waitMs = TROUBLE_MS;
      try {
        waitMs = await turn();
      } catch (error) {
        // A claim may have been committed although its reply was lost.
        mustReconcile = true;
        trouble = toRollcallError(error).message;
        const level = isTransient(error) || toRollcallError(error).retryable ? 'warn' : 'error';
        log[level]({ err: toRollcallError(error) }, 'the dialer could not work');
      }
      if (!draining) await waker.wait(waitMs);
    }
  };
  const running = run();

  return {
    wake() {
      woken = true;
      waker.wake();
    },
    status: () => trouble ?? true,
    async drain(graceMs) {
      draining = true;
      holdAll();
      waker.wake();
      const deadline = now() + graceMs;
      // A turn may hang on a database that is away.
      const patience = new AbortController();
      await Promise.race([running, clock.sleep(graceMs, patience.signal).catch(() => undefined)]);
      patience.abort();
      // A claim that was under way has come in since.
      holdAll();
      while (calls.size > 0 && now() < deadline) await clock.sleep(50);
      for (const call of calls.values()) call.feed({ type: 'abandon' });
      const hungUpBy = now() + HANG_UP_MS;
      while (calls.size > 0 && now() < hungUpBy) await clock.sleep(20);
      const written = await writer.flush(LAST_WRITES_MS);
      // What is open still is not lost: the next start finds it in the ledger.
      if (calls.size > 0 || !written) log.warn({ calls: calls.size, written }, 'stopping with open attempts');
      for (const call of calls.values()) call.forget();
      await telephony.close();
    },
  };
}

/** The throttle looks back this far at most: a rate of one call in two minutes. */
const RECENT_MS = 120_000;

/** The part of an attempt's deadline that does not depend on its message. */
const fixedLimitMs = (policy: Policy): number =>
  totalLimitMs({
    ringMs: policy.ringSeconds * 1000,
    pauseMs: policy.answerPauseMs,
    keyWaitMs: policy.keyWaitMs,
    messageMs: 0,
  });
