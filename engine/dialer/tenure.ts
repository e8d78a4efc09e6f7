import type { Clock } from '../clock.ts';
import { mayCall } from '../domain/delivery-window.ts';
import type { Claim, Lease, TrunkLine } from '../domain/ledger.ts';
import { mayDial } from '../domain/phone.ts';
import type { Policy } from '../domain/policy.ts';
import { decideRetry } from '../domain/retry.ts';
import { GUARD_MS, UNSEEN_GUARD_MS } from '../domain/throttle.ts';
import type { TrunkHealthReport } from '../domain/trunk-health.ts';
import { RollcallError, toRollcallError } from '../errors.ts';
import { type Log, maskPhone } from '../log.ts';
import type { DialerMetrics, Ledger, LineFact, SipWatch } from './interfaces.ts';
import type { LedgerWriter } from './ledger-writer.ts';
import { createLine } from './line.ts';
import { type Link, openLink } from './link.ts';
import { createLiveCall, type LiveCall, limitsOf, neverSent } from './live-call.ts';
import type { Node } from './node.ts';
import { type Inherited, inherit, lostResult, type Moment, resumeAttempt } from './reconcile.ts';
import { MAX_PLAYS, startSession, totalLimitMs } from './session.ts';

/** What all trunks have in common; read anew once a second. */
export interface Settings {
  policy: Policy;
  zones: string[];
  country: string;
}

export interface TenureDependencies {
  ledger: Ledger;
  writer: LedgerWriter;
  nodes: readonly Node[];
  clock: Clock;
  log: Log;
  metrics: DialerMetrics;
  /** The trunk's Stasis application is named after this and the trunk. */
  app: string;
  soundPathOf: (promptHash: string) => string;
  sip: SipWatch;
  settings: () => Settings;
  wake: () => void;
  /** Another engine has our Stasis application: the trunk is not ours any more. */
  onReplaced: () => void;
}

/** One trunk while it is ours, under one fence: its line, its links to the nodes, its calls. */
export interface Tenure {
  readonly lease: Lease;
  readonly trunk: TrunkLine;
  readonly calls: ReadonlyMap<string, LiveCall>;
  /** Channels in use, also by calls that are not compared yet. */
  readonly inUse: number;
  /** Why no call can be placed; undefined when one can. */
  readonly trouble: string | undefined;
  /** Our lease has not run out. */
  readonly leased: boolean;
  /** The lease holds until then, monotonic. */
  renewed(until: number): void;
  update(trunk: TrunkLine): void;
  /** Chores of once a second; may throw while Postgres is away. */
  housekeep(): Promise<void>;
  /** Claims what the line has permits for; returns when to come again, in ms. */
  fill(): Promise<number>;
  /** A node may take another originate. */
  poke(): void;
  /** No INVITE leaves from now on; claims that were not sent are given back. */
  hold(): void;
  fact(): LineFact;
  /** Forgets all: another owner goes on, or we are going down. */
  end(): Promise<void>;
}

/** At least this often the loop looks for what came due. */
const TURN_MS = 1_000;
const AUDIT_MS = 30_000;
/** While no node can take a call. */
const NO_NODE_MS = 250;
/** The throttle looks back this far at most: a rate of one call in two minutes. */
const RECENT_MS = 120_000;

/**
 * Takes up a trunk whose lease we got just now: puts its open attempts under our fence, counts their channels,
 * and connects to every node. Throws while Postgres is away; then it is to be tried again.
 */
export async function beginTenure(
  trunk: TrunkLine,
  lease: Lease,
  leasedUntil: number,
  deps: TenureDependencies,
): Promise<Tenure> {
  const { ledger, writer, clock, nodes } = deps;
  const log = deps.log.child({ trunk: trunk.name, fence: lease.fence });
  const now = () => clock.monotonic();
  const trunkId = lease.trunkId;

  await ledger.adoptAttempts(trunkId, lease.fence);
  const readAt = now();
  const [open, ages] = await Promise.all([
    ledger.openAttempts(trunkId),
    // What the owner before us sent counts against the cap as well.
    ledger.recentSends(trunkId, RECENT_MS),
  ]);
  if (now() >= leasedUntil)
    throw new RollcallError('STORE_UNAVAILABLE', 'the database was too slow for the lease of a trunk');
  const inherited = new Map<string, Inherited>(
    open.map((attempt) => [attempt.attemptId, inherit({ ...attempt, fence: lease.fence }, readAt)]),
  );
  const calls = new Map<string, LiveCall>();
  let until = leasedUntil;
  let ended = false;
  let refusal: string | undefined;
  /** A claim may have been committed although its reply was lost. */
  let mustAudit = false;
  let auditedAt = now();
  let lastReport = '';
  const isOurs = () => !ended && now() < until;

  const line = createLine(trunk, {
    now,
    sentAt: ages.map((age) => readAt - age),
    guardMs: deps.sip.listening ? GUARD_MS : UNSEEN_GUARD_MS,
    isOurs,
    onFree: deps.wake,
  });
  /** Called when it is known what became of an inherited attempt. */
  const known = new Map(open.map(({ attemptId, state }) => [attemptId, line.adopt(state !== 'claimed')]));
  if (open.length > 0) log.warn({ attempts: open.length }, 'open attempts of an earlier owner');

  const callsOn = (node: Node): LiveCall[] =>
    [...calls.values()].filter((call) => call.claim.node === node.name);
  const inheritedOn = (name: string): Inherited[] =>
    [...inherited.values()].filter(({ attempt }) => attempt.node === name);

  const refuseTrunk = (sipCode: number | null): void => {
    if (refusal !== undefined) return;
    refusal = `the carrier answered ${sipCode}: check the trunk's credentials and address`;
    line.update({ ...line.trunk, state: 'refused' });
    log.error({ sipCode }, 'the trunk refuses us: stopped until it is set active again');
    deps.wake();
  };

  const liveDependencies = (link: Link) => {
    const { policy, country } = deps.settings();
    return {
      telephony: link.telephony,
      node: link.node,
      writer,
      metrics: deps.metrics,
      log,
      now,
      policy,
      country,
      soundPathOf: deps.soundPathOf,
      sip: deps.sip,
      nodeIsReady: () => link.state === 'ready',
      onTrunkRefused: refuseTrunk,
      onEnded: (call: LiveCall) => calls.delete(call.claim.attemptId),
    };
  };

  const resume = async (link: Link, found: Inherited, moment: Moment): Promise<void> => {
    const { attempt } = found;
    const { policy } = deps.settings();
    const resumed = await resumeAttempt(found, link.telephony, policy, moment);
    // Given up in the meantime, or another owner's by now.
    if (!inherited.has(attempt.attemptId) || ended) return;
    const call = createLiveCall(attempt, line, resumed.step, liveDependencies(link), { alreadySent: true });
    inherited.delete(attempt.attemptId);
    known.get(attempt.attemptId)?.();
    calls.set(attempt.attemptId, call);
    log.warn({ attempt: attempt.attemptId, alive: resumed.alive }, 'attempt of an earlier owner');
    for (const event of resumed.missed) call.handle(event);
    if (resumed.lostUntil !== undefined) call.feed({ type: 'lost', until: resumed.lostUntil });
  };

  const giveUp = (found: Inherited, lostUntil: number): void => {
    const { attempt } = found;
    if (!inherited.delete(attempt.attemptId)) return;
    known.get(attempt.attemptId)?.();
    const { policy } = deps.settings();
    const result = lostResult(found, lostUntil, policy);
    const share = result.heardMs / attempt.messageMs;
    const verdict = decideRetry(result.outcome, share, attempt.history, policy);
    writer.ended({ attemptId: attempt.attemptId, fence: lease.fence, ...result, ...verdict });
    log.warn({ attempt: attempt.attemptId, ...result, ...verdict }, 'attempt of an earlier owner is lost');
    line.freeChannel('nothing', now());
  };

  const links = nodes.map((node): Link => {
    const link: Link = openLink(node, {
      app: `${deps.app}-${trunk.name}`,
      trunkId,
      trunkName: trunk.name,
      clock,
      log: deps.log,
      ledger,
      metrics: deps.metrics,
      calls: () => callsOn(node),
      isOurs,
      isKnown: (id) => calls.has(id) || inherited.has(id),
      inherited: () => inheritedOn(node.name),
      resume: (found, moment) => resume(link, found, moment),
      giveUp,
      onReady: deps.wake,
      // What waits for its permit cannot go by this node; the line asks each call.
      onDown: () => line.poke(),
      onReplaced: deps.onReplaced,
    });
    return link;
  });
  line.unhold();

  /** Links that can place a call now. */
  const usable = (): Link[] =>
    links.filter((link) => link.state === 'ready' && !link.node.draining && !link.unreachable);

  /** For each permit a node: always the one with the fewest calls, so that equal nodes fill alike. */
  const chooseNodes = (permits: number): string[] => {
    const loads = usable().map(({ node }) => ({ name: node.name, calls: node.calls }));
    return Array.from({ length: loads.length === 0 ? 0 : permits }, () => {
      const least = loads.reduce((a, b) => (b.calls < a.calls ? b : a));
      least.calls += 1;
      return least.name;
    });
  };

  const place = (claim: Claim): void => {
    const { policy, country } = deps.settings();
    const link = links.find(({ node }) => node.name === claim.node);
    if (link === undefined) {
      writer.ended(neverSent(claim));
      return;
    }
    if (!mayDial(claim.phone, { allowedPrefixes: line.trunk.allowedPrefixes, country })) {
      const verdict = decideRetry('barred', 0, claim.history, policy);
      writer.ended({ ...neverSent(claim), outcome: 'barred', interrupted: false, ...verdict });
      log.warn({ call: claim.callId, to: maskPhone(claim.phone) }, 'the trunk may not dial this number');
      return;
    }
    const step = startSession(limitsOf(claim, policy));
    const call = createLiveCall(claim, line, step, liveDependencies(link));
    calls.set(claim.attemptId, call);
    line.enqueue(call);
  };

  /** Open attempts under our fence that we know nothing of: their claim's reply was lost, nothing was sent. */
  const audit = async (): Promise<void> => {
    mustAudit = false;
    auditedAt = now();
    try {
      await writer.flush();
      const ours = new Set([...calls.keys(), ...inherited.keys()]);
      const open = await ledger.openAttempts(trunkId);
      // Another owner's by now: what is open is its own.
      if (ended) return;
      for (const { attemptId, fence, state } of open)
        if (fence === lease.fence && state === 'claimed' && !ours.has(attemptId))
          writer.ended(neverSent({ attemptId, fence }));
    } catch (error) {
      mustAudit = true;
      throw error;
    }
  };

  const report = (): TrunkHealthReport => ({
    breaker: line.breaker(now()),
    rate: Math.round(line.rate(now()) * 1000) / 1000,
    channels: line.inUse,
    failureShare: line.health.failureShare,
    postDialDelayMs: line.health.postDialDelayMs,
    nodes: Object.fromEntries(
      links.map(({ node, state }) => [
        node.name,
        {
          ready: state === 'ready',
          reachable: node.telephony.watch.reachable(trunk.name) ?? null,
          registration: node.telephony.watch.registration(trunk.name) ?? null,
        },
      ]),
    ),
  });

  const isRefused = () => line.trunk.state === 'refused';
  return {
    lease,
    calls,
    get trunk() {
      return line.trunk;
    },
    get inUse() {
      return line.inUse;
    },
    get trouble() {
      return usable().length > 0 ? undefined : (links[0]?.trouble ?? 'there is no Asterisk node');
    },
    get leased() {
      return isOurs();
    },
    renewed(next) {
      until = next;
    },
    update(next) {
      const changed = next.revision !== line.trunk.revision;
      // Until the ledger shows our own refusal, what it says of the trunk is old.
      line.update(refusal === undefined ? next : { ...next, state: 'refused' });
      if (changed) for (const link of links) link.reprovision();
    },
    async housekeep() {
      if (refusal !== undefined && isRefused()) {
        await ledger.refuseTrunk(lease, refusal);
        refusal = undefined;
      }
      for (const link of links) link.tick();
      const ready = links.filter(({ state }) => state === 'ready');
      line.unreachable(ready.length > 0 && ready.every((link) => link.unreachable));
      // A node that was taken out of the configuration: nobody can ask it.
      for (const found of inherited.values())
        if (!links.some(({ node }) => node.name === found.attempt.node) && now() > found.deadline)
          giveUp(found, now());
      // A claim that was committed long after we gave it up shows only later.
      if (mustAudit || now() - auditedAt > AUDIT_MS) await audit();
      const facts = report();
      const text = JSON.stringify(facts);
      if (text !== lastReport) await ledger.saveTrunkHealth(lease, facts);
      lastReport = text;
    },
    async fill() {
      if (mustAudit) await audit();
      const { policy, zones } = deps.settings();
      // The clock is asked at every claim, and a claim is dialled within a fraction of a second.
      const at = clock.now();
      const openZones = zones.filter((zone) => mayCall(at, zone, policy));
      if (openZones.length === 0) return TURN_MS;
      const room = line.room(now());
      // Full channels free themselves with a wake; only permits come back by the passing of time.
      if (room === 0) return line.inUse < line.trunk.maxChannels ? line.nextRoomMs(now()) : TURN_MS;
      const chosen = chooseNodes(room);
      if (chosen.length === 0) return NO_NODE_MS;
      const began = now();
      let claims: Claim[];
      try {
        claims = await ledger.claim({
          trunkId,
          fence: lease.fence,
          nodes: chosen,
          openZones,
          fixedMs: fixedLimitMs(policy),
          messagePlays: MAX_PLAYS,
          dailyCap: policy.dailyCallsPerPhone,
        });
      } catch (error) {
        mustAudit = true;
        throw error;
      }
      deps.metrics.claimed({ calls: claims.length, seconds: (now() - began) / 1000 });
      // They are the next owner's, who finds them in the ledger.
      if (ended) return TURN_MS;
      for (const claim of claims) place(claim);
      // Fewer than asked for may be another dialer's claim in the way; none is an empty queue.
      return claims.length === 0 ? TURN_MS : line.nextRoomMs(now());
    },
    poke: () => line.poke(),
    hold() {
      line.hold();
      line.giveBackQueue();
    },
    fact: () => ({
      trunk: line.trunk.name,
      inUse: line.inUse,
      max: line.trunk.maxChannels,
      permits: line.room(now()),
      rate: line.rate(now()),
      breaker: { closed: 0, half_open: 1, open: 2 }[line.breaker(now())],
    }),
    async end() {
      ended = true;
      line.hold();
      // They are another engine's calls now: our timers and results would only disturb it.
      for (const call of calls.values()) call.forget();
      calls.clear();
      const closed = await Promise.allSettled(links.map((link) => link.close()));
      for (const result of closed)
        if (result.status === 'rejected') log.warn({ err: toRollcallError(result.reason) }, 'closing a link');
    },
  };
}

/** The part of an attempt's deadline that does not depend on its message. */
const fixedLimitMs = (policy: Policy): number =>
  totalLimitMs({
    ringMs: policy.ringSeconds * 1000,
    pauseMs: policy.answerPauseMs,
    keyWaitMs: policy.keyWaitMs,
    messageMs: 0,
  });
