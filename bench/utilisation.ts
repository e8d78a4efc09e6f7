import { join } from 'node:path';
import type { Policy } from '../engine/domain/policy.ts';
import { type CarrierCall, peakChannels, peakRate } from '../test/sim/carrier/log.ts';
import type { Context, Figure, Figures, Row } from './figure.ts';
import { channelBoundMs, type Held, idealMs, rateBoundMs } from './measure/bound.ts';
import { mean, round } from './measure/stats.ts';
import { mixedPeople, people, prepared, runBroadcast } from './roster.ts';
import { startBench, type TrunkCaps } from './stack.ts';

const GOAL = 0.97;
/** From an ACK to a BYE about 6 s; a real message is longer, so that the channels' turn-around weighs less. */
const MESSAGE =
  'School is closed today because of snow. Classes begin again tomorrow morning at the usual time. Thank you.';

export interface Case {
  name: string;
  caps: TrunkCaps;
  phones: (short: boolean) => string[];
  text: string;
  policy: Partial<Policy>;
  boundMs(attempts: Held[], one: Case): number;
  /** Until the last INVITE, or until the last call is over. */
  until: 'invite' | 'end';
  formula: string;
}

export const CASES: readonly Case[] = [
  {
    name: 'calls per second bind',
    caps: { maxChannels: 500, callsPerSecond: 20 },
    phones: (short) => people(short ? 400 : 1_740),
    text: 'Good day.',
    policy: {},
    boundMs: (attempts, { caps }) => rateBoundMs(attempts.length, caps.callsPerSecond),
    until: 'invite',
    formula: 'bound = (INVITEs - ceil(rate)) / rate; measured: first to last INVITE',
  },
  {
    name: 'channels bind',
    caps: { maxChannels: 40, callsPerSecond: 100 },
    phones: (short) => people(short ? 160 : 480),
    text: MESSAGE,
    policy: {},
    boundMs: (attempts, { caps }) => channelBoundMs(attempts, caps.maxChannels),
    until: 'end',
    formula: 'bound = sum of holds / channels; measured: first INVITE to last end',
  },
  {
    name: 'mixed, with retries',
    caps: { maxChannels: 40, callsPerSecond: 10 },
    phones: (short) => mixedPeople(short ? 120 : 400),
    text: MESSAGE,
    policy: { maxTries: 3, retryDelaySeconds: 8, ringSeconds: 5 },
    boundMs: (attempts, { caps, policy }) => idealMs(attempts, caps, (policy.retryDelaySeconds ?? 0) * 1000),
    until: 'end',
    formula:
      'bound: a dialer without delays, simulated with the same calls in the same order, the holds that the carrier saw, and retries when due; 3 of 5 answer, 1 is busy, 1 rings out, each of those three times',
  },
];

/** Figure 1: how much of what the trunk allows is used. */
export const utilisation: Figure = { name: 'utilisation', title: 'Trunk utilisation', run };

async function run({ dir, quick, say }: Context): Promise<Figures> {
  const rows: Row[] = [];
  const notes: string[] = ["theoretical shortest time over measured time, both from the carrier's log"];
  const details: unknown[] = [];
  for (const one of CASES) {
    say(one.name);
    const found = await measureCase(join(dir, 'stack'), one, one.phones(quick));
    rows.push({ what: one.name, value: found.share, unit: '', goal: { at: 'least', value: GOAL } });
    notes.push(
      `${one.name}: ${one.caps.callsPerSecond} a second, ${one.caps.maxChannels} channels, ${found.attempts} attempts, ${found.boundS} s of ${found.measuredS} s; ` +
        `at most ${found.worstSecond} INVITEs in a second and ${found.channels} calls at once; mean hold ${found.holdS} s; ${one.formula}`,
    );
    details.push({ ...found, name: one.name, caps: one.caps });
  }
  return { rows, notes, details };
}

/** Runs one broadcast to `phones` on a stack of its own in `dir`. Throws when it is not over in 5 minutes. */
export async function measureCase(dir: string, one: Case, phones: string[]): Promise<Utilisation> {
  const bench = await startBench({ dir, caps: one.caps, policy: one.policy });
  try {
    const id = await prepared(bench, phones, one.text);
    if (!(await runBroadcast(bench, id, 300_000))) throw new Error('the broadcast was not over in 300 s');
    return utilisationOf((await bench.carrier?.calls()) ?? [], one);
  } finally {
    await bench.stop();
  }
}

/** Times in seconds, but for the turn-around. */
export interface Utilisation {
  /** bound / measured: 1 is perfect. */
  share: number;
  attempts: number;
  boundS: number;
  measuredS: number;
  rateBoundS: number;
  channelBoundS: number;
  /** Most INVITEs in a sliding second, and most calls at once. */
  worstSecond: number;
  channels: number;
  holdS: number;
  /** How long a channel stands empty between two calls, in ms; null where they were never all busy. */
  turnaroundMs: number | null;
}

/** What a case's log says. */
function utilisationOf(calls: readonly CarrierCall[], one: Case): Utilisation {
  const { caps, until } = one;
  const attempts = calls.flatMap(({ number, inviteAt, endedAt }) =>
    endedAt === undefined ? [] : [{ number, inviteAt, endedAt }],
  );
  const first = Math.min(...attempts.map(({ inviteAt }) => inviteAt));
  const last = Math.max(...attempts.map((call) => (until === 'invite' ? call.inviteAt : call.endedAt)));
  const bound = one.boundMs(attempts, one);
  const channels = peakChannels(calls);
  return {
    share: round(bound / (last - first), 4),
    attempts: attempts.length,
    boundS: round(bound / 1000),
    measuredS: round((last - first) / 1000),
    rateBoundS: round(rateBoundMs(attempts.length, caps.callsPerSecond) / 1000),
    channelBoundS: round(channelBoundMs(attempts, caps.maxChannels) / 1000),
    worstSecond: peakRate(calls),
    channels,
    holdS: round(mean(attempts.map(({ inviteAt, endedAt }) => endedAt - inviteAt)) / 1000),
    turnaroundMs: channels < caps.maxChannels ? null : round(turnaroundMs(attempts, caps.maxChannels)),
  };
}

/** While all channels could be busy: how long one stood empty between two calls, on average. */
function turnaroundMs(attempts: readonly Held[], channels: number): number {
  const begins = attempts.map(({ inviteAt }) => inviteAt).sort((a, b) => a - b);
  const ends = attempts.map(({ endedAt }) => endedAt).sort((a, b) => a - b);
  return mean(begins.slice(channels).map((begin, index) => begin - (ends[index] ?? begin)));
}
