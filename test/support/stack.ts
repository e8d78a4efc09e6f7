import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Policy } from '../../engine/domain/policy.ts';
import type { HeardLevel, Outcome } from '../../engine/domain/terms.ts';
import { type Stack, startStack } from '../../local/stack.ts';
import { daytimeZone } from '../../local/zone.ts';
import type { CarrierCall } from '../sim/carrier/carrier.ts';

const root = resolve(import.meta.dirname, '../..');

export interface Call {
  id: string;
  phone: string;
  state: string;
  outcome: Outcome | null;
  heard: HeardLevel;
  heardMs: number;
}

export interface Attempt {
  number: number;
  trunk: string;
  node: string;
  claimedAt: string;
  outcome: Outcome | null;
  heard: HeardLevel;
  heardMs: number;
  messageMs: number;
  sipCode: number | null;
  cause: number | null;
  digits: string;
  interrupted: boolean;
}

/** A stack with a district in which it is early afternoon, one school and one trunk to the carrier. */
export interface District extends Stack {
  trunkId: string;
  /** Makes one more trunk; returns its id. */
  addTrunk(name: string, settings: { port: number } & Record<string, unknown>): Promise<string>;
  /** Replaces the policy, on top of the tests' own short times. */
  setPolicy(policy: Partial<Policy>): Promise<void>;
  /** Sends `text` to the numbers; returns the broadcast's id. */
  broadcast(phones: string[], options?: { text?: string; start?: boolean }): Promise<string>;
  /** Resolves when `check` does, asked every 100 ms; rejects with `what` after `deadlineMs`. */
  until<T>(what: string, check: () => Promise<T | undefined>, deadlineMs?: number): Promise<T>;
  /** Resolves with the calls when all have their final outcome. */
  finished(broadcastId: string, deadlineMs?: number): Promise<Call[]>;
  calls(broadcastId: string): Promise<Call[]>;
  attempts(callId: string): Promise<Attempt[]>;
}

/** About four seconds with the short prompts' words: long enough to be interrupted, short enough to wait for. */
export const SHORT = 'School is closed today. Classes begin again tomorrow.';
/** Messages without the keys' explanation, which takes ten seconds of every call. */
export const SHORT_PROMPTS = { PROMPTS_DIR: resolve(root, 'test/sim/prompts') };

/** Nobody waits 15 minutes in a test. */
export const QUICK = { answerPauseMs: 500, keyWaitMs: 1_500, retryDelaySeconds: 1, dailyCallsPerPhone: 100 };

export async function startDistrict(
  t: Test,
  {
    policy = {},
    trunk = {},
    env = {},
    nodes = 1,
    carriers = 1,
  }: {
    policy?: Partial<Policy>;
    trunk?: object;
    env?: Record<string, string>;
    nodes?: number;
    carriers?: number;
  } = {},
): Promise<District> {
  const dir = resolve(root, 'var/test', `${basename(process.argv[1] ?? 'sim', '.test.ts')}-${process.pid}`);
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const stack = await startStack({ dir, nodes, carriers, env: { LOG_LEVEL: 'debug', ...env } });
  t.teardown(async () => {
    await stack.stop();
    // The log of a failed file is worth more than the space.
    if (t.passing()) await rm(dir, { recursive: true, force: true });
  });
  const { api } = stack;
  const setPolicy = (rules: Partial<Policy>) =>
    api.request<void>('PUT', '/v1/district', {
      name: 'Test District',
      zone: daytimeZone(new Date()),
      country: 'US',
      policy: { ...QUICK, ...rules },
    });
  await setPolicy(policy);
  await api.request('PUT', '/v1/sites/S1', { name: 'First School', level: 'elementary' });
  const addTrunk = async (name: string, settings: object) =>
    (
      await api.request<{ id: string }>('POST', '/v1/trunks', {
        name,
        host: '127.0.0.1',
        maxChannels: 100,
        callsPerSecond: 20,
        ...settings,
      })
    ).id;
  const trunkId = await addTrunk('carrier', { port: stack.carrier.port, ...trunk });

  const calls = async (broadcastId: string): Promise<Call[]> => {
    const all: Call[] = [];
    for (let after = ''; ; ) {
      const page = await api.request<{ items: Call[]; next: string | null }>(
        'GET',
        `/v1/calls?broadcast=${broadcastId}&limit=200${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`,
      );
      all.push(...page.items);
      if (page.next === null) return all;
      after = page.next;
    }
  };
  const until: District['until'] = async (what, check, deadlineMs = 60_000) => {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      const found = await check();
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what} (see ${dir})`);
      await sleep(100);
    }
  };
  return Object.defineProperties(
    {
      trunkId,
      addTrunk,
      setPolicy,
      calls,
      until,
      async broadcast(phones: string[], { text = SHORT, start = true } = {}) {
        const { id } = await api.request<{ id: string }>(
          'POST',
          '/v1/broadcasts',
          {
            title: 'Test',
            category: 'general',
            message: { en: text },
            audience: { kind: 'numbers', site: 'S1', phones },
            start,
          },
          { 'idempotency-key': randomUUID() },
        );
        return id;
      },
      finished: (broadcastId: string, deadlineMs?: number) =>
        until(
          'every call has its final outcome',
          async () => {
            const { state } = await api.request<{ state: string }>('GET', `/v1/broadcasts/${broadcastId}`);
            return state === 'done' ? calls(broadcastId) : undefined;
          },
          deadlineMs,
        ),
      async attempts(callId: string) {
        return (await api.request<{ attempts: Attempt[] }>('GET', `/v1/calls/${callId}`)).attempts;
      },
    },
    // Not a spread: the stack's engine changes with a restart.
    Object.getOwnPropertyDescriptors(stack),
  ) as unknown as District;
}

/** `count` numbers of people who answer, all different. */
export function people(count: number): string[] {
  // The last two digits choose the behaviour: below 70 is a person.
  return Array.from({ length: count }, (_, index) => {
    const hundreds = String(Math.floor(index / 70)).padStart(2, '0');
    return `+1303555${hundreds}${String(index % 70).padStart(2, '0')}`;
  });
}

/** How often each phone heard a message of `messageMs` to its end, as the carrier saw it. */
export function completeMessages(
  calls: CarrierCall[],
  pauseMs: number,
  messageMs: number,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { number, answeredAt, endedAt } of calls) {
    const lasted = answeredAt === undefined ? 0 : (endedAt ?? Number.POSITIVE_INFINITY) - answeredAt;
    // Asterisk starts the playback a moment after we ask, never before.
    if (lasted >= pauseMs + messageMs) counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  return counts;
}
