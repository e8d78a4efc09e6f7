/**
 * One chaos run: broadcasts to a mix of phones while faults happen by plan, then the reckoning. A seed decides the
 * phones, the faults, their order, lengths and gaps; what falls together within a second is the machine's.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { daytimeZone } from '../../local/zone.ts';
import { seeded } from '../sample/random.ts';
import { carryOut } from './actions.ts';
import { type Crash, type Dialog, readDialogs } from './dialogs.ts';
import type { EngineSpec } from './engines.ts';
import type { Evidence, TrunkCaps, Violation } from './evidence.ts';
import { type PlannedFault, planFaults } from './faults.ts';
import { channelsOf, footprint, leaksBetween, type QuietMoment } from './leaks.ts';
import { createLedgerReader, type LedgerReader } from './ledger.ts';
import { createPhoneBook } from './phones.ts';
import { type DoneFault, runSchedule } from './schedule.ts';
import { type ChaosStack, startChaosStack } from './stack.ts';
import { verify } from './verify.ts';

export interface ChaosOptions {
  /** A whole number but 0. */
  seed: number;
  faults: number;
  /** Calls of each broadcast. */
  calls: number;
  /** Everything that the parts write. */
  dir: string;
  nodes: number;
  engines: readonly EngineSpec[];
  meanGapMs: number;
  /** A broadcast that takes longer than this is lost. */
  limitMs: number;
  /** Takes lines of progress. */
  say(line: string): void;
  signal: AbortSignal;
}

export interface ChaosResult {
  plan: PlannedFault[];
  done: DoneFault[];
  evidence: Evidence;
  violations: Violation[];
  before: QuietMoment;
  after: QuietMoment;
  broadcasts: number;
  seconds: number;
}

/** What the trunks are paid for. */
const CAPS = { maxChannels: 60, callsPerSecond: 15 };
const TRUNKS = 2;
/** Nobody waits 15 minutes here. Ringing is longer than Timer B, so that a dead trunk is told from an empty home. */
const POLICY = {
  answerPauseMs: 500,
  keyWaitMs: 1_000,
  retryDelaySeconds: 2,
  maxTries: 2,
  trunkRetrySeconds: 1,
  maxTrunkFailures: 5,
  ringSeconds: 18,
};
const WARM_UP_CALLS = 80;
const SMALL_CALLS = 6;
/** How long sockets, channels and pools may take to become quiet. */
const QUIET_MS = 60_000;
const REQUEST_MS = 60_000;

/** Runs it all; rejects only when the run itself could not be made. What is wrong is in `violations`. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const began = Date.now();
  const deaths: Violation[] = [];
  const died = (name: string, what: string) =>
    deaths.push({ rule: 'no process dies by itself', what: `${name} ${what}` });
  const stack: ChaosStack = await startChaosStack({
    dir: options.dir,
    nodes: options.nodes,
    trunks: TRUNKS,
    engines: options.engines,
    seed: options.seed,
    // Started again, as an operator's machine would do it, so that the run says all that it can.
    onDeath: (name) => {
      died(name, 'ended');
      const engine = stack.engines.find((one) => one.name === name);
      engine?.start().catch((error: Error) => died(name, error.message));
    },
  });
  try {
    const result = await runOn(stack, options);
    result.violations.unshift(...deaths);
    return { ...result, seconds: Math.round((Date.now() - began) / 1000) };
  } finally {
    await stack.stop();
  }
}

async function runOn(stack: ChaosStack, options: ChaosOptions): Promise<Omit<ChaosResult, 'seconds'>> {
  const { seed, say, signal } = options;
  const ledger = createLedgerReader(stack.databaseUrl);
  const book = createPhoneBook(seeded(seed));
  const planned = new Map<string, string>();
  const open = new Set<string>();
  const trunks = await setUp(stack);

  const send = async (phones: string[], text: string): Promise<void> => {
    const { id } = await insist<{ id: string }>(stack, 'POST', '/v1/broadcasts', {
      title: text,
      category: 'general',
      message: { en: text },
      audience: { kind: 'numbers', site: 'S1', phones },
      start: true,
    });
    for (const phone of phones) planned.set(phone, id);
    open.add(id);
  };
  const late: Violation[] = [];
  /** True when all broadcasts are done, false when one takes too long. */
  const finished = async (): Promise<boolean> => {
    for (const id of open) {
      if (!(await isDone(ledger, id, options.limitMs, signal))) {
        const { state, calls, done } = await ledger.broadcast(id);
        const what = `${id} is ${state} with ${done} of ${calls} calls done after ${options.limitMs / 1000} s`;
        late.push({ rule: 'every broadcast ends', what });
        return false;
      }
      open.delete(id);
    }
    return true;
  };

  say(`warming up with ${WARM_UP_CALLS} calls`);
  await send(book(WARM_UP_CALLS, 'people'), 'This is a test of the telephone system.');
  await finished();
  const before = await quietMoment(stack, ledger, () => true);

  const plan = planFaults({
    seed,
    count: options.faults,
    meanGapMs: options.meanGapMs,
    parts: {
      engines: stack.engines.map(({ name }) => name),
      nodes: options.nodes,
      trunks: TRUNKS,
      disk: stack.disk !== undefined,
    },
  });
  if (stack.disk === undefined) say('no small disk can be mounted here: the fault "full disk" is left out');
  const crashes: Crash[] = [];
  const noAudioUntil = new Map<string, number>();
  let small = 0;
  const stopFaults = new AbortController();
  const faults = runSchedule(plan, {
    signal: AbortSignal.any([signal, stopFaults.signal]),
    onFault: ({ number, text }) => say(`fault ${number}/${plan.length}: ${text}`),
    carryOut: (fault) =>
      carryOut(fault, {
        stack,
        onCrash: (crash) => crashes.push(crash),
        sendSmallBroadcast: async () => {
          small += 1;
          const phones = book(SMALL_CALLS, 'people');
          await send(phones, `The bus number ${small} is late.`);
          return phones;
        },
        onRoom: (phones, at) => {
          for (const phone of phones) noAudioUntil.set(phone, at);
        },
      }),
  });
  let left = true;
  const over = faults.finally(() => {
    left = false;
  });
  // It is awaited below; until then nobody else hears of it.
  over.catch(() => undefined);
  let broadcasts = 0;
  while ((left || broadcasts === 0) && late.length === 0) {
    broadcasts += 1;
    say(`broadcast ${broadcasts}: ${options.calls} calls`);
    await send(book(options.calls), `School is closed on day ${broadcasts}. It opens again tomorrow.`);
    if (!(await finished())) stopFaults.abort();
  }
  const done = await over;
  if (late.length === 0) await finished();
  say('all faults are over and all broadcasts are done; looking for what is left');
  const after = await quietMoment(stack, ledger, (moment) => leaksBetween(before, moment).length === 0);

  const evidence: Evidence = {
    ...(await gather(stack, ledger, crashes)),
    planned,
    trunks,
    noAudioUntil,
    pauseMs: POLICY.answerPauseMs,
  };
  const violations = [...late, ...verify(evidence), ...leaksBetween(before, after)];
  return { plan, done, evidence, violations, before, after, broadcasts };
}

async function setUp(stack: ChaosStack): Promise<TrunkCaps[]> {
  await insist(stack, 'PUT', '/v1/district', {
    name: 'Chaos District',
    zone: daytimeZone(new Date()),
    country: 'US',
    policy: POLICY,
  });
  await insist(stack, 'PUT', '/v1/sites/S1', { name: 'First School', level: 'elementary' });
  for (const { name, link } of stack.trunks)
    await insist(stack, 'POST', '/v1/trunks', { name, host: '127.0.0.1', port: link.port, ...CAPS });
  return stack.trunks.map(({ name }) => ({ name, ...CAPS }));
}

/** A request that is repeated while the engine is away; its key makes it count once. */
async function insist<T>(stack: ChaosStack, method: string, path: string, body: unknown): Promise<T> {
  const key = randomUUID();
  const deadline = Date.now() + REQUEST_MS;
  for (;;) {
    try {
      return await stack.api.request<T>(method, path, body, { 'idempotency-key': key });
    } catch (error) {
      // A refusal is final; no answer and an error of the engine's are not.
      if (/: 4\d\d /.test((error as Error).message) || Date.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

/** True once a broadcast is done, false when that takes longer than `limitMs`. */
async function isDone(
  ledger: LedgerReader,
  id: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while ((await ledger.broadcast(id)).state !== 'done') {
    signal.throwIfAborted();
    if (Date.now() > deadline) return false;
    await sleep(250);
  }
  return true;
}

/** Waits until nothing is on the phone and `isQuiet` says so too, or the time is over; then says how it is. */
async function quietMoment(
  stack: ChaosStack,
  ledger: LedgerReader,
  isQuiet: (moment: QuietMoment) => boolean,
): Promise<QuietMoment> {
  const deadline = Date.now() + QUIET_MS;
  for (;;) {
    const moment = await look(stack, ledger);
    const quiet = moment.channels.every(({ count }) => count === 0) && isQuiet(moment);
    if (quiet || Date.now() > deadline) return moment;
    await sleep(1_000);
  }
}

async function look(stack: ChaosStack, ledger: LedgerReader): Promise<QuietMoment> {
  const processes = [
    ...stack.engines.map(({ name, pid }) => ({ name, pid })),
    ...stack.nodes.map(({ name, asterisk }) => ({ name, pid: asterisk.pid })),
  ];
  const channels = stack.nodes.map(async ({ name, asterisk }) => ({
    node: name,
    count: await channelsOf(asterisk.ariUrl, stack.ariUser, stack.ariPassword),
  }));
  return {
    processes: await Promise.all(processes.map(({ name, pid }) => footprint(name, pid))),
    connections: await ledger.connections(),
    channels: await Promise.all(channels),
  };
}

async function gather(
  stack: ChaosStack,
  ledger: LedgerReader,
  crashes: readonly Crash[],
): Promise<Pick<Evidence, 'calls' | 'attempts' | 'dialogs' | 'carrierCalls' | 'playbacks' | 'callIds'>> {
  const perTrunk = stack.trunks.map(async ({ name, link, carrier }) => ({
    dialogs: readDialogs(name, await link.facts(), crashes),
    carrierCalls: await carrier.calls(),
  }));
  const atCarriers = await Promise.all(perTrunk);
  const witnesses = stack.nodes.map(({ witness }) => witness);
  return {
    calls: await ledger.calls(),
    attempts: await ledger.attempts(),
    dialogs: atCarriers.flatMap(({ dialogs }): Dialog[] => dialogs),
    carrierCalls: atCarriers.flatMap(({ carrierCalls }) => carrierCalls),
    playbacks: witnesses.flatMap((witness) => witness.playbacks()),
    callIds: new Map(witnesses.flatMap((witness) => [...witness.callIds()])),
  };
}
