import { type BreakerState, createBreaker } from '../domain/breaker.ts';
import type { TrunkLine } from '../domain/ledger.ts';
import { createPace } from '../domain/pace.ts';
import { createThrottle } from '../domain/throttle.ts';
import { createTrunkHealth, type TrunkHealth } from '../domain/trunk-health.ts';

/**
 * How far ahead calls are claimed: long enough that one statement serves many calls, short enough that a stop,
 * whose reply waits for claimed calls, is prompt, and that an emergency goes first at once.
 */
const HORIZON_MS = 150;

/** What waits longer than this for its permit, behind a slow Asterisk or a lowered rate, is claimed anew. */
const QUEUE_LIMIT_MS = 1_000;

/** A claimed call that waits for its turn on the wire. */
export interface QueuedCall {
  /** `later`: its node has enough on its way; `never`: its node cannot place it any more. */
  readiness(): 'now' | 'later' | 'never';
  /**
   * Sends the INVITE; resolves with when it left (monotonic ms), or with now once it is known never to leave. Must
   * not reject.
   */
  send(): Promise<number>;
  /** The call will not be sent; gives back its claim. */
  giveBack(): void;
}

/** What a call says of its trunk when it is over; `told`: it has said so before, by `worked`. */
export type TrunkVerdict = 'worked' | 'failed' | 'timed_out' | 'rate_limited' | 'nothing' | 'told';

/** A trunk at work: its throttle, its breaker, its channels and the calls that wait for the next permit. */
export interface Line {
  readonly trunk: TrunkLine;
  readonly inUse: number;
  readonly health: TrunkHealth;
  breaker(now: number): BreakerState;
  /** Calls per second that it is held to. */
  rate(now: number): number;
  update(trunk: TrunkLine): void;
  /** OPTIONS of every node fail (true), or of one do not any more. */
  unreachable(yes: boolean): void;
  /** How many calls may be claimed now: permits first, then the claim. */
  room(now: number): number;
  /** Milliseconds until it is worth while to ask for `room` again, by the passing of time alone. */
  nextRoomMs(now: number): number;
  /** Takes a channel and queues the call. */
  enqueue(call: QueuedCall): void;
  /**
   * Takes a channel for a call of an earlier owner. Where its INVITE is not known to have left it may leave at any
   * moment, and counts as now, until what this returns is called.
   */
  adopt(sent: boolean): () => void;
  /** A call that was sent at `sentAt` rings or is answered: the trunk works. Its later end is `told`. */
  worked(sentAt: number): void;
  /** A call is over: its channel is free again. */
  freeChannel(verdict: TrunkVerdict, sentAt: number): void;
  /** A node may take a call again. */
  poke(): void;
  /** No INVITE leaves until `unhold`. */
  hold(): void;
  unhold(): void;
  /** Gives back the claims of the calls that were not sent; their channels are free again. */
  giveBackQueue(): void;
}

export interface LineOptions {
  now: () => number;
  /** Monotonic times of INVITEs that another process sent on this trunk just now, oldest first. */
  sentAt: readonly number[];
  /** See throttle.ts. */
  guardMs: number;
  /** Asked right before each INVITE: is the trunk ours at this moment? */
  isOurs: () => boolean;
  onFree: () => void;
}

/** Makes a line, held until `unhold`. */
export function createLine(initial: TrunkLine, { now, sentAt, guardMs, isOurs, onFree }: LineOptions): Line {
  const throttle = createThrottle(initial.callsPerSecond, sentAt, guardMs);
  const pace = createPace(initial.callsPerSecond);
  const breaker = createBreaker();
  const health = createTrunkHealth();
  let queue: { call: QueuedCall; since: number }[] = [];
  let trunk = initial;
  let paced = initial.callsPerSecond;
  let inUse = 0;
  let held = true;
  let timer: NodeJS.Timeout | undefined;

  const followPace = (time: number): void => {
    const rate = pace.rate(time);
    if (rate === paced) return;
    throttle.setRate(rate);
    paced = rate;
  };

  const pump = (): void => {
    clearTimeout(timer);
    timer = undefined;
    while (!held && queue.length > 0) {
      const time = now();
      followPace(time);
      if (!isOurs() || breaker.state(time) === 'open') {
        line.giveBackQueue();
        return;
      }
      const wait = throttle.nextAt(time) - time;
      if (wait > 0) {
        timer = setTimeout(pump, Math.ceil(wait));
        return;
      }
      const next = queue[0];
      if (next === undefined) return;
      const readiness = time - next.since > QUEUE_LIMIT_MS ? 'never' : next.call.readiness();
      // Its node pokes us as soon as an INVITE has left, and the limit of the queue ends the wait.
      if (readiness === 'later') {
        timer = setTimeout(pump, QUEUE_LIMIT_MS);
        return;
      }
      queue.shift();
      if (readiness === 'never') {
        // Claimed on a clock, a window and a broadcast that may not be true any more.
        inUse -= 1;
        next.call.giveBack();
        continue;
      }
      breaker.began(time);
      const left = throttle.take(time);
      void next.call.send().then((leftAt) => {
        left(leftAt);
        // The next may be allowed sooner than the timer thinks.
        pump();
      });
    }
  };
  const line: Line = {
    health,
    get trunk() {
      return trunk;
    },
    get inUse() {
      return inUse;
    },
    breaker: (time) => breaker.state(time),
    rate: (time) => pace.rate(time),
    update(next) {
      if (next.callsPerSecond !== trunk.callsPerSecond) pace.setConfigured(next.callsPerSecond);
      trunk = next;
      if (trunk.state !== 'active') line.giveBackQueue();
    },
    unreachable: (yes) => breaker.force(yes, now()),
    room(time) {
      if (held || trunk.state !== 'active' || !isOurs() || !breaker.mayCall(time)) return 0;
      followPace(time);
      const permits = throttle.countWithin(time, HORIZON_MS) - queue.length;
      const probing = breaker.state(time) === 'half_open' ? 1 - queue.length : permits;
      return Math.max(0, Math.min(permits, probing, trunk.maxChannels - inUse));
    },
    nextRoomMs(time) {
      const permit = Math.max(HORIZON_MS / 2, throttle.nextAt(time) - time - HORIZON_MS);
      return Math.max(permit, breaker.nextChangeMs(time) ?? 0);
    },
    enqueue(call) {
      inUse += 1;
      queue.push({ call, since: now() });
      if (timer === undefined) pump();
    },
    adopt(sent) {
      inUse += 1;
      const left = sent ? undefined : throttle.owe(now());
      return () => {
        left?.(now());
        pump();
      };
    },
    worked(sentAt) {
      const time = now();
      breaker.succeeded(time, sentAt);
      health.progressed(time - sentAt);
      health.ended({ failed: false });
    },
    freeChannel(verdict, sentAt) {
      const time = now();
      const wasFull = inUse >= trunk.maxChannels;
      inUse -= 1;
      switch (verdict) {
        case 'worked':
          breaker.succeeded(time, sentAt);
          break;
        case 'failed':
        case 'timed_out':
          breaker.failed(time, { timeout: verdict === 'timed_out' }, sentAt);
          break;
        case 'rate_limited':
          pace.limited(time);
          breaker.ended(time, sentAt);
          break;
        case 'nothing':
          breaker.ended(time, sentAt);
          break;
        case 'told':
      }
      if (verdict !== 'nothing' && verdict !== 'told') health.ended({ failed: verdict !== 'worked' });
      // Where permits are what is scarce, a channel more lets nothing go.
      if (wasFull) onFree();
    },
    poke() {
      if (queue.length > 0) pump();
    },
    hold() {
      held = true;
      clearTimeout(timer);
      timer = undefined;
    },
    unhold() {
      held = false;
      pump();
    },
    giveBackQueue() {
      clearTimeout(timer);
      timer = undefined;
      const unsent = queue;
      queue = [];
      inUse -= unsent.length;
      for (const { call } of unsent) call.giveBack();
    },
  };
  return line;
}
