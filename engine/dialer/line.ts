import type { TrunkLine } from '../domain/ledger.ts';
import { createThrottle } from '../domain/throttle.ts';

/**
 * How far ahead calls are claimed: long enough that one statement serves many calls at a high rate, short
 * enough that a stop, whose reply waits for claimed calls, is prompt.
 */
const HORIZON_MS = 100;

/** What waits longer than this for its permit, behind a slow Asterisk or a lowered rate, is claimed anew. */
const QUEUE_LIMIT_MS = 1_000;

/** A claimed call that waits for its turn on the wire. */
export interface QueuedCall {
  /** Sends the INVITE; resolves when it has left, or is known never to leave. Must not reject. */
  send(): Promise<void>;
  /** The call will not be sent; gives back its claim. */
  giveBack(): void;
}

/** A trunk at work: its throttle, its channels and the calls that wait for the next permit. */
export interface Line {
  readonly trunk: TrunkLine;
  readonly inUse: number;
  update(trunk: TrunkLine): void;
  /** How many calls may be claimed now: permits first, then the claim. */
  room(now: number): number;
  /** Milliseconds until `room` may grow by the passing of time alone. */
  nextRoomMs(now: number): number;
  /** Takes a channel and queues the call. */
  enqueue(call: QueuedCall): void;
  /** Takes a channel for a call that is already on the wire. */
  adopt(): void;
  /** A call is over: its channel is free again. */
  freeChannel(): void;
  /** No INVITE leaves until `unhold`. */
  hold(): void;
  unhold(): void;
  /** Gives back the claims of the calls that were not sent; their channels are free again. */
  giveBackQueue(): void;
}

/** Makes a line. `sentAt`: monotonic times of INVITEs that another process sent on this trunk just now. */
export function createLine(
  initial: TrunkLine,
  now: () => number,
  sentAt: readonly number[],
  onFree: () => void,
): Line {
  const throttle = createThrottle(initial.callsPerSecond, sentAt);
  let queue: { call: QueuedCall; since: number }[] = [];
  let trunk = initial;
  let inUse = 0;
  let held = false;
  let timer: NodeJS.Timeout | undefined;

  const pump = (): void => {
    timer = undefined;
    while (!held && queue.length > 0) {
      const time = now();
      const wait = throttle.nextAt(time) - time;
      if (wait > 0) {
        timer = setTimeout(pump, Math.ceil(wait));
        return;
      }
      const next = queue.shift();
      if (next === undefined) return;
      if (time - next.since > QUEUE_LIMIT_MS) {
        // Claimed on a clock, a window and a broadcast that may not be true any more.
        inUse -= 1;
        next.call.giveBack();
        continue;
      }
      const left = throttle.take(time);
      void next.call.send().then(() => {
        left(now());
        // The next may be allowed sooner than the timer thinks.
        clearTimeout(timer);
        pump();
      });
    }
  };
  const line: Line = {
    get trunk() {
      return trunk;
    },
    get inUse() {
      return inUse;
    },
    update(next) {
      if (next.callsPerSecond !== trunk.callsPerSecond) throttle.setRate(next.callsPerSecond);
      trunk = next;
      if (!trunk.active) line.giveBackQueue();
    },
    room(time) {
      if (held || !trunk.active) return 0;
      const permits = throttle.countWithin(time, HORIZON_MS) - queue.length;
      return Math.max(0, Math.min(permits, trunk.maxChannels - inUse));
    },
    nextRoomMs: (time) => Math.max(HORIZON_MS / 2, throttle.nextAt(time) - time - HORIZON_MS),
    enqueue(call) {
      inUse += 1;
      queue.push({ call, since: now() });
      if (timer === undefined) pump();
    },
    adopt() {
      inUse += 1;
    },
    freeChannel() {
      inUse -= 1;
      onFree();
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
      const unsent = queue;
      queue = [];
      inUse -= unsent.length;
      for (const { call } of unsent) call.giveBack();
    },
  };
  return line;
}
