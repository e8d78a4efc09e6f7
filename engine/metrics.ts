import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { DialerMetrics } from './dialer/interfaces.ts';

export interface EngineMetrics {
  registry: Registry;
  dialer: DialerMetrics;
  /** Adds the gauges that are read from the ledger at each scrape; to be called once. */
  onScrape(ledger: LedgerCounts): void;
}

export interface LedgerCounts {
  /** Those whose queue is shown as 0 while it is empty, so that an alert on it has something to compare. */
  categories: readonly string[];
  queue(): Promise<{ category: string; state: string; calls: number }[]>;
  /** Calls that are done, of the broadcasts of the last 24 hours. */
  outcomes(): Promise<{ category: string; outcome: string; calls: number }[]>;
}

const QUEUE_STATES = ['planned', 'waiting', 'ready'];

/** Prometheus metrics of the engine, with those of the process (event-loop delay, memory, CPU). */
export function createMetrics(): EngineMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'rollcall_' });
  const registers = [registry];

  const attempts = new Counter({
    name: 'rollcall_attempts_total',
    help: 'Attempts that ended, by outcome, trunk and node',
    labelNames: ['outcome', 'trunk', 'node'],
    registers,
  });
  const attemptSeconds = new Histogram({
    name: 'rollcall_attempt_seconds',
    help: 'From claim to end of an attempt',
    labelNames: ['outcome'],
    buckets: [0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300],
    registers,
  });
  const gauge = (name: string, help: string, labelNames: string[]) =>
    new Gauge({ name, help, labelNames, registers });
  const inUse = gauge('rollcall_trunk_channels', 'Channels in use', ['trunk']);
  const max = gauge('rollcall_trunk_channels_max', 'Channels that may be in use', ['trunk']);
  const permits = gauge('rollcall_trunk_permits', 'Calls that may be claimed now', ['trunk']);
  const rate = gauge('rollcall_trunk_rate', 'Calls per second that the trunk is held to now', ['trunk']);
  const breaker = gauge('rollcall_trunk_breaker', 'Closed (0), half-open (1) or open (2)', ['trunk']);
  const up = gauge('rollcall_node_up', 'Events of the node arrive (1) or not (0)', ['node']);
  const nodeCalls = gauge('rollcall_node_calls', 'Our calls on the node', ['node']);
  const onTheirWay = gauge('rollcall_node_originates', 'Calls asked for whose INVITE has not left', ['node']);
  const limit = gauge('rollcall_node_originates_max', 'The most of these, as the node can take', ['node']);
  const claimed = new Counter({ name: 'rollcall_claims_total', help: 'Calls claimed', registers });
  const claimSeconds = new Histogram({
    name: 'rollcall_claim_seconds',
    help: 'Duration of the claim statement',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1],
    registers,
  });
  const stray = new Counter({
    name: 'rollcall_stray_events_total',
    help: 'Events of channels that no call of ours has',
    labelNames: ['type'],
    registers,
  });
  return {
    registry,
    dialer: {
      attemptEnded({ outcome, trunk, node, seconds }) {
        attempts.inc({ outcome, trunk, node });
        attemptSeconds.observe({ outcome }, seconds);
      },
      lines(facts) {
        for (const fact of facts) {
          inUse.set({ trunk: fact.trunk }, fact.inUse);
          max.set({ trunk: fact.trunk }, fact.max);
          permits.set({ trunk: fact.trunk }, fact.permits);
          rate.set({ trunk: fact.trunk }, fact.rate);
          breaker.set({ trunk: fact.trunk }, fact.breaker);
        }
      },
      nodes(facts) {
        for (const { node, ...fact } of facts) {
          up.set({ node }, Number(fact.connected));
          nodeCalls.set({ node }, fact.calls);
          onTheirWay.set({ node }, fact.onTheirWay);
          limit.set({ node }, fact.limit);
        }
      },
      claimed({ calls, seconds }) {
        claimed.inc(calls);
        claimSeconds.observe(seconds);
      },
      strayEvent: (type) => stray.inc({ type }),
    },
    onScrape({ categories, queue, outcomes }) {
      new Gauge({
        name: 'rollcall_queue_calls',
        help: 'Calls that wait for their audio (planned), their next try (waiting) or a permit (ready), by category',
        labelNames: ['category', 'state'],
        registers,
        async collect() {
          const found = await queue();
          this.reset();
          for (const category of categories)
            for (const state of QUEUE_STATES) this.set({ category, state }, 0);
          for (const { category, state, calls } of found) this.set({ category, state }, calls);
        },
      });
      new Gauge({
        name: 'rollcall_calls',
        help: 'Calls that are done, by category and outcome, of the broadcasts created in the last 24 hours',
        labelNames: ['category', 'outcome'],
        registers,
        async collect() {
          const found = await outcomes();
          this.reset();
          for (const { category, outcome, calls } of found) this.set({ category, outcome }, calls);
        },
      });
    },
  };
}
