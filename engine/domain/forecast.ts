/**
 * When half, 95 % and all of a broadcast's homes have been tried, by simulating the dialer call for call. Pure
 * and deterministic; times are ms from now. How it is done and what it assumes: docs/decisions/0008-forecast.md.
 */
import { createHeap, type Heap } from './heap.ts';
import type { Policy } from './policy.ts';
import { decideRetry, type History } from './retry.ts';
import type { Outcome } from './terms.ts';
import { createThrottle, GUARD_MS, type Throttle } from './throttle.ts';

/** How often attempts end in an outcome, and how long they hold a channel. */
export interface OutcomeClass {
  outcome: Outcome;
  /** Weight among the classes; they need not add up to 1. */
  share: number;
  /** From the INVITE to the answer or the refusal. */
  ringMs: number;
  /** From the answer to the end; 0 for one without an answer. */
  talkMs: number;
  /** How much of the message was heard, 0 to 1; 1 without it. */
  heardShare?: number;
}

/** Who did not answer once is less likely to answer the next time: retries have shares of their own. */
export interface AnswerPattern {
  first: readonly OutcomeClass[];
  later: readonly OutcomeClass[];
}

/** A stretch of time in which phones of a group may ring; the end is exclusive. */
export interface OpenSpan {
  fromMs: number;
  untilMs: number;
}

export interface CallGroup {
  count: number;
  /** In order of time, and none after the broadcast expires. */
  open: readonly OpenSpan[];
  /** Not before this; of those that are due the longest goes first. */
  dueInMs: number;
  /** Of the attempts that were made. */
  history: History;
  /** True when an attempt has begun. */
  tried: boolean;
}

/** Calls on the line now: they hold channels, and may come back. */
export interface LiveCalls {
  count: number;
  /** Index in the trunks. */
  trunk: number;
  elapsedMs: number;
  open: readonly OpenSpan[];
  history: History;
}

/** The calls of a broadcast that are not done. */
export interface Work {
  groups: readonly CallGroup[];
  live: readonly LiveCalls[];
  pattern: AnswerPattern;
}

export interface ForecastInput {
  own: Work;
  /** Calls of ours that are done and have been tried. */
  triedBefore: number;
  /** Other broadcasts: all calls of a more urgent one go first, those of an equal one take turns with ours. */
  others: readonly (Work & { moreUrgent: boolean })[];
  trunks: readonly { callsPerSecond: number; maxChannels: number }[];
  policy: Policy;
  retryOrder: RetryOrder;
}

/** Where a retry that is due stands: before all first tries, or among them by due time, so mostly behind. */
export type RetryOrder = 'first' | 'by_due_time';

/** null: not within the hours in which it may call. 0: it is so already. */
export interface Forecast {
  halfTriedMs: number | null;
  mostTriedMs: number | null;
  allTriedMs: number | null;
  /** Every call has its final outcome. */
  doneMs: number | null;
}

/** Share of the homes that is "most". */
export const MOST = 0.95;
/** So many calls are simulated; with more, one stands for several. The error of that is in the order of 1 / this. */
const SIMULATED_CALLS = 20_000;
/** A simulated trunk has so many channels at least, if it has them. */
const LEAST_CHANNELS = 8;
/** From the hang-up until the next call's INVITE leaves on its channel: the ledger's word, the claim, Asterisk. */
const TURNAROUND_MS = 60;
/** From the request until the INVITE is known to have left, which the throttle waits for. */
const INVITE_MS = 15;
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Of a call that was never tried. */
export const NO_HISTORY: History = { tries: 0, interruptions: 0, trunkFailures: 0 };

/** A group at work. */
interface Queue {
  open: readonly OpenSpan[];
  total: number;
  fresh: number;
  dueMs: number;
  retries: Heap<History>;
  /** The first span that is not over. */
  span: number;
}

interface Lane {
  own: boolean;
  moreUrgent: boolean;
  served: number;
  queues: Queue[];
  /** The class of the next attempt; of one that is live, one that lasts longer than it does by now. */
  draw(later: boolean, liveForMs?: number): OutcomeClass;
}

interface SimulatedTrunk {
  throttle: Throttle;
  free: number;
  /** When channels come free. */
  releases: Heap<undefined>;
  /** A call holds its channel so many times as long, where one stands for several in a row. */
  stretch: number;
}

/** Forecasts a broadcast. At most some 100 ms for any number of calls. */
export function forecast(input: ForecastInput): Forecast {
  const { own, policy, retryOrder } = input;
  const factor = Math.max(
    1,
    [own, ...input.others].reduce((sum, work) => sum + countOf(work), 0) / SIMULATED_CALLS,
  );
  const trunks = input.trunks.map((trunk) => simulated(trunk, factor));
  const lanes = [{ ...own, moreUrgent: false }, ...input.others].map((work, index) =>
    laneOf(work, index === 0, work.moreUrgent, factor),
  );
  const triedBefore = scaled(input.triedBefore, factor);
  const [ours] = lanes;
  const untried = (ours?.queues ?? []).reduce((sum, queue) => sum + queue.fresh, 0);
  const retried = (ours?.queues ?? []).reduce((sum, queue) => sum + queue.retries.size, 0);
  const homes =
    triedBefore + untried + retried + own.live.reduce((sum, live) => sum + scaled(live.count, factor), 0);
  const triedAt: number[] = [];
  let lastEndMs = 0;

  /** Follows one attempt to its end: its channel, and its retry if there is one. */
  const place = (
    lane: Lane,
    queue: Queue,
    trunk: SimulatedTrunk,
    history: History,
    beganMs: number,
  ): void => {
    const liveForMs = beganMs < 0 ? -beganMs : undefined;
    const { outcome, ringMs, talkMs, heardShare = 1 } = lane.draw(history.tries > 0, liveForMs);
    const holdMs = ringMs + talkMs + TURNAROUND_MS;
    trunk.releases.push(beganMs + holdMs * trunk.stretch, undefined);
    const endMs = beganMs + ringMs + talkMs;
    const { retryInMs, counted } = decideRetry(outcome, heardShare, history, policy);
    if (lane.own) lastEndMs = Math.max(lastEndMs, endMs);
    if (retryInMs === null) return;
    queue.retries.push(endMs + retryInMs, {
      tries: history.tries + Number(counted === 'try'),
      interruptions: history.interruptions + Number(counted === 'interruption'),
      trunkFailures: history.trunkFailures + Number(counted === 'trunk_failure'),
    });
  };

  [own, ...input.others].forEach((work, index) => {
    for (const live of work.live) {
      const lane = lanes[index];
      const trunk = trunks[live.trunk];
      if (lane === undefined || trunk === undefined) continue;
      const queue = queueFor(lane.queues, live.open);
      for (let left = scaled(live.count, factor); left > 0; left -= 1) {
        trunk.free -= 1;
        place(lane, queue, trunk, live.history, -live.elapsedMs);
      }
    }
  });

  for (let now = 0; ; ) {
    const next = nextRoom(trunks, now);
    if (next === undefined) break;
    const picked = pick(lanes, next.atMs, retryOrder);
    if (picked === undefined) {
      now = Math.min(...lanes.flatMap(({ queues }) => queues.map((queue) => availableMs(queue, next.atMs))));
      if (now === Number.POSITIVE_INFINITY) break;
      continue;
    }
    now = next.atMs;
    const { lane, queue } = picked;
    const { trunk } = next;
    release(trunk, now);
    trunk.free -= 1;
    trunk.throttle.take(now)(now + INVITE_MS);
    lane.served += 1;
    const isRetry = retryIsNext(queue, now, retryOrder);
    if (!isRetry) queue.fresh -= 1;
    if (lane.own && !isRetry) triedAt.push(now);
    // The heap is not empty when it is a retry: that is why the queue was picked.
    place(lane, queue, trunk, isRetry ? (queue.retries.pop() ?? NO_HISTORY) : NO_HISTORY, now);
  }
  const already = homes - untried;
  const reached = (share: number): number | null => {
    const nth = Math.ceil(homes * share) - already;
    return nth <= 0 ? 0 : (triedAt[nth - 1] ?? null);
  };
  const left = ours?.queues.some((queue) => queue.fresh > 0 || queue.retries.size > 0) ?? false;
  return {
    halfTriedMs: reached(0.5),
    mostTriedMs: reached(MOST),
    allTriedMs: reached(1),
    doneMs: left ? null : lastEndMs,
  };
}

const countOf = (work: Work): number => work.groups.reduce((sum, { count }) => sum + count, 0);

/** A group of few among very many still counts. */
const scaled = (count: number, factor: number): number =>
  count === 0 ? 0 : Math.max(1, Math.round(count / factor));

/**
 * A trunk for calls that stand for `factor` each: it has as many times fewer channels and calls per second. One
 * that would be left with too few channels keeps more, and each call holds its own longer instead.
 */
function simulated(
  { callsPerSecond, maxChannels }: { callsPerSecond: number; maxChannels: number },
  factor: number,
): SimulatedTrunk {
  const fewer = Math.min(factor, Math.max(1, maxChannels / LEAST_CHANNELS));
  // The throttle's guard and wait do not scale, so that the rate is what remains with them.
  const burst = Math.max(1, Math.ceil(callsPerSecond));
  const spacingMs = (factor * ((burst / callsPerSecond) * 1000 + GUARD_MS + INVITE_MS)) / burst;
  const scaledBurst = Math.max(1, Math.ceil(1000 / spacingMs));
  const rate = (scaledBurst * 1000) / (scaledBurst * spacingMs - GUARD_MS - INVITE_MS);
  return {
    throttle: createThrottle(factor === 1 ? callsPerSecond : rate),
    free: Math.max(1, Math.round(maxChannels / fewer)),
    releases: createHeap(),
    stretch: factor / fewer,
  };
}

function laneOf(work: Work, own: boolean, moreUrgent: boolean, factor: number): Lane {
  const { first, later } = work.pattern;
  const draws = { first: 0, later: 0 };
  return {
    own,
    moreUrgent,
    served: 0,
    queues: queuesOf(work.groups, factor),
    draw(isLater, liveForMs) {
      const kind = isLater ? 'later' : 'first';
      draws[kind] += 1;
      const classes = isLater ? later : first;
      const possible = liveForMs === undefined ? classes : longerThan(classes, liveForMs);
      // Multiples of the golden section fill 0 to 1 evenly, however many are drawn.
      return classAt(possible, (draws[kind] * GOLDEN) % 1);
    },
  };
}

/** Calls that were tried wait among the retries of those that ring in the same hours. */
function queuesOf(groups: readonly CallGroup[], factor: number): Queue[] {
  const queues: Queue[] = [];
  for (const { count, open, dueInMs, history, tried } of groups) {
    const calls = scaled(count, factor);
    if (tried) {
      const { retries } = queueFor(queues, open);
      for (let left = calls; left > 0; left -= 1) retries.push(dueInMs, history);
    } else {
      queues.push({ open, total: calls, fresh: calls, dueMs: dueInMs, retries: createHeap(), span: 0 });
    }
  }
  return queues;
}

function queueFor(queues: Queue[], open: readonly OpenSpan[]): Queue {
  const known = queues.find((queue) => queue.open === open);
  if (known !== undefined) return known;
  const queue: Queue = { open, total: 0, fresh: 0, dueMs: 0, retries: createHeap(), span: 0 };
  queues.push(queue);
  return queue;
}

function longerThan(classes: readonly OutcomeClass[], ms: number): readonly OutcomeClass[] {
  const lasts = (one: OutcomeClass): number => one.ringMs + one.talkMs;
  const longer = classes.filter((one) => lasts(one) > ms);
  if (longer.length > 0) return longer;
  return [...classes].sort((a, b) => lasts(b) - lasts(a)).slice(0, 1);
}

function classAt(classes: readonly OutcomeClass[], position: number): OutcomeClass {
  let left = position * classes.reduce((sum, { share }) => sum + share, 0);
  for (const one of classes) {
    left -= one.share;
    if (left < 0) return one;
  }
  const last = classes.at(-1);
  if (last === undefined) throw new RangeError('a pattern needs at least one class');
  return last;
}

/** The trunk that can send first, at or after `now`, and when. */
function nextRoom(
  trunks: readonly SimulatedTrunk[],
  now: number,
): { trunk: SimulatedTrunk; atMs: number } | undefined {
  let best: { trunk: SimulatedTrunk; atMs: number } | undefined;
  for (const trunk of trunks) {
    const channelMs = trunk.free > 0 ? now : Math.max(now, trunk.releases.least);
    const atMs = trunk.throttle.nextAt(channelMs);
    if (best === undefined || atMs < best.atMs) best = { trunk, atMs };
  }
  return best;
}

function release(trunk: SimulatedTrunk, now: number): void {
  while (trunk.releases.least <= now) {
    trunk.releases.pop();
    trunk.free += 1;
  }
}

/** When the queue has a call that may ring, not before `now`; Infinity: never. */
function availableMs(queue: Queue, now: number): number {
  const dueMs = Math.min(queue.fresh > 0 ? queue.dueMs : Number.POSITIVE_INFINITY, queue.retries.least);
  if (dueMs === Number.POSITIVE_INFINITY) return dueMs;
  const from = Math.max(now, dueMs);
  while ((queue.open[queue.span]?.untilMs ?? Number.POSITIVE_INFINITY) <= now) queue.span += 1;
  const span = queue.open.slice(queue.span).find(({ untilMs }) => untilMs > from);
  return span === undefined ? Number.POSITIVE_INFINITY : Math.max(from, span.fromMs);
}

function retryIsNext(queue: Queue, now: number, order: RetryOrder): boolean {
  if (queue.fresh === 0) return true;
  return order === 'first' ? queue.retries.least <= now : queue.retries.least < queue.dueMs;
}

/** The next call as the claim takes it: the most urgent broadcast's, and by turns among equals. */
function pick(
  lanes: readonly Lane[],
  now: number,
  order: RetryOrder,
): { lane: Lane; queue: Queue } | undefined {
  let best: { lane: Lane; queue: Queue } | undefined;
  for (const lane of lanes) {
    for (const queue of lane.queues) {
      if (availableMs(queue, now) > now) continue;
      if (best === undefined || goesBefore({ lane, queue }, best, now, order)) best = { lane, queue };
    }
  }
  return best;
}

function goesBefore(
  one: { lane: Lane; queue: Queue },
  other: { lane: Lane; queue: Queue },
  now: number,
  order: RetryOrder,
): boolean {
  if (one.lane !== other.lane) {
    if (one.lane.moreUrgent !== other.lane.moreUrgent) return one.lane.moreUrgent;
    return one.lane.served < other.lane.served;
  }
  const retry = retryIsNext(one.queue, now, order);
  const otherRetry = retryIsNext(other.queue, now, order);
  if (order === 'first' && retry !== otherRetry) return retry;
  const dueMs = retry ? one.queue.retries.least : one.queue.dueMs;
  const otherDueMs = otherRetry ? other.queue.retries.least : other.queue.dueMs;
  if (dueMs !== otherDueMs) return dueMs < otherDueMs;
  // Their calls were planned together and stand mixed in the queue.
  return one.queue.fresh / one.queue.total > other.queue.fresh / other.queue.total;
}
