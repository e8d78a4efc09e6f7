import type { Clock } from '../clock.ts';
import type { Lease, TrunkLine } from '../domain/ledger.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type {
  DialerMetrics,
  IsTransient,
  Leases,
  Ledger,
  Nodes,
  SipWatch,
  TelephonyNode,
} from './interfaces.ts';
import { createLedgerWriter } from './ledger-writer.ts';
import type { LiveCall } from './live-call.ts';
import { createNode } from './node.ts';
import { beginTenure, type Settings, type Tenure } from './tenure.ts';
import { createWaker } from './waker.ts';

export interface DialerOptions {
  ledger: Ledger;
  leases: Leases;
  nodes: Nodes;
  telephony: readonly TelephonyNode[];
  clock: Clock;
  log: Log;
  metrics: DialerMetrics;
  /** Unique for this process. */
  holder: string;
  /** For people: which machine and process has a trunk. */
  engine: string;
  /** Each trunk's Stasis application is called `<app>-<trunk>`. */
  app: string;
  isTransient: IsTransient;
  /** Path of a prompt's audio as Asterisk sees it, without extension. */
  soundPathOf: (promptHash: string) => string;
  sip: SipWatch;
  /** Delay of this process's event loop since it was last asked, in ms. */
  eventLoopDelayMs: () => number;
}

export interface Dialer {
  /** There may be work, or a trunk, a node or a broadcast changed. */
  wake(): void;
  /** True when calls can be placed, or another engine places them; otherwise why not. */
  status(): true | string;
  /**
   * No new INVITE from now on; live calls may finish for `graceMs`, then they are hung up and shown as
   * interrupted. Resolves when every result is in the ledger, Asterisk is left and the trunks are free.
   */
  drain(graceMs: number): Promise<void>;
}

/** At least this often the loop looks for what came due, expired calls and changed settings. */
const TURN_MS = 1_000;
const LOAD_MS = 5_000;
/** Ends of many calls within a moment are one wake: a claim for each would cost more than the wait. */
const LEAST_TURN_MS = 20;
const TROUBLE_MS = 250;
/** A lease runs so long; another engine takes over when it has run out. */
const LEASE_MS = 2_000;
const RENEW_MS = 500;
/** We stop so much sooner than the database thinks: clocks of two machines do not run alike. */
const LEASE_MARGIN_MS = 200;
/** After somebody with another database took our Stasis application away. */
const REPLACED_MS = 30_000;
const WATCH_MS = 250;
/** At a shutdown: how long calls that we hang up may take to end, and the last results to be written. */
const HANG_UP_MS = 3_000;
const LAST_WRITES_MS = 10_000;

/**
 * Starts the dialer: leases, permits, claim, originate, session, outcome. Any number of these may run, in one
 * process each; a trunk is worked by the one that holds its lease.
 */
export function startDialer(options: DialerOptions): Dialer {
  const { ledger, leases, clock, log, metrics, isTransient } = options;
  const now = () => clock.monotonic();
  const waker = createWaker();
  const writer = createLedgerWriter(ledger, { log, isTransient });
  const tenures = new Map<string, Tenure>();
  /** Trunks that are left alone until then, monotonic. */
  const shunned = new Map<string, number>();
  const nodes = options.telephony.map((node) =>
    createNode(node, now, () => {
      for (const tenure of tenures.values()) tenure.poke();
    }),
  );

  let settings: Settings | undefined;
  let trunks: readonly TrunkLine[] = [];
  let draining = false;
  let stopped = false;
  let trouble: string | undefined = 'starting';
  let woken = true;
  let housekeepAt = 0;
  let loadAt = 0;

  const complain = (error: unknown, what: string): void => {
    const coded = toRollcallError(error);
    trouble = coded.message;
    log[isTransient(error) || coded.retryable ? 'warn' : 'error']({ err: coded }, what);
  };

  const begin = async (lease: Lease, until: number): Promise<void> => {
    if (settings === undefined || !trunks.some(({ id }) => id === lease.trunkId)) await loadSettings();
    const trunk = trunks.find(({ id }) => id === lease.trunkId);
    if (trunk === undefined || draining) return;
    const tenure = await beginTenure(trunk, lease, until, {
      ledger,
      writer,
      nodes,
      clock,
      log,
      metrics,
      app: options.app,
      soundPathOf: options.soundPathOf,
      sip: options.sip,
      settings: () => {
        if (settings === undefined) throw new Error('settings are loaded before the first trunk');
        return settings;
      },
      wake: waker.wake,
      onReplaced: () => onReplaced(lease),
    });
    if (draining) {
      await tenure.end();
      return;
    }
    tenures.set(lease.trunkId, tenure);
    log.info({ trunk: trunk.name, fence: lease.fence }, 'the trunk is ours');
    waker.wake();
  };

  /** Its sockets may take seconds to close, and the other trunks' leases cannot wait for that. */
  const lose = (tenure: Tenure): void => {
    tenures.delete(tenure.lease.trunkId);
    log.warn({ trunk: tenure.trunk.name, calls: tenure.calls.size }, 'the trunk is not ours any more');
    tenure.end().catch((error) => log.warn({ err: toRollcallError(error) }, 'a trunk was left badly'));
  };

  /** Usually its next owner, since our lease had run out; else an engine with another database. */
  const onReplaced = (lease: Lease): void => {
    const tenure = tenures.get(lease.trunkId);
    if (tenure === undefined || tenure.lease.fence !== lease.fence) return;
    const { leased, trunk } = tenure;
    lose(tenure);
    if (!leased) return;
    log.error(
      { trunk: trunk.name },
      'an engine of another installation uses the Stasis application of this trunk: give each its own ARI_APP',
    );
    shunned.set(lease.trunkId, now() + REPLACED_MS);
    leases
      .release(options.holder, [lease.trunkId])
      .catch((error) => complain(error, 'the trunk could not be given back'));
  };

  const holdLeases = async (): Promise<void> => {
    const askedAt = now();
    for (const [trunkId, until] of shunned) if (until < askedAt) shunned.delete(trunkId);
    const held = await leases.hold(options.holder, options.engine, LEASE_MS, {
      take: !draining,
      except: [...shunned.keys()],
    });
    const until = askedAt + LEASE_MS - LEASE_MARGIN_MS;
    const fences = new Map(held.map(({ trunkId, fence }) => [trunkId, fence]));
    for (const tenure of [...tenures.values()]) {
      if (fences.get(tenure.lease.trunkId) === tenure.lease.fence) tenure.renewed(until);
      else lose(tenure);
    }
    for (const lease of held) {
      if (tenures.has(lease.trunkId) || shunned.has(lease.trunkId)) continue;
      await begin(lease, until).catch((error) => complain(error, 'a trunk could not be taken up'));
    }
  };

  const keepLeases = async (): Promise<void> => {
    while (!stopped) {
      try {
        await holdLeases();
      } catch (error) {
        complain(error, 'the leases could not be renewed');
      }
      await clock.sleep(tenures.size === 0 ? RENEW_MS / 2 : RENEW_MS);
    }
  };

  const loadSettings = async (): Promise<void> => {
    const [list, rules, zones, drained] = await Promise.all([
      ledger.trunks(),
      ledger.rules(),
      ledger.zones(),
      options.nodes.draining(nodes.map(({ name }) => name)),
    ]);
    settings = { ...rules, zones };
    const names = list.map(({ name }) => name);
    // Not waited for: a node that does not answer must not hold up the others.
    if (trunks.some(({ name }) => !names.includes(name))) void forgetAllBut(names);
    trunks = list;
    for (const node of nodes) node.draining = drained.includes(node.name);
    for (const trunk of trunks) tenures.get(trunk.id)?.update(trunk);
  };

  /** A trunk that was deleted has no lease any more, so it is nobody's; its settings go with it. */
  const forgetAllBut = async (names: string[]): Promise<void> => {
    for (const { name, telephony } of nodes)
      await telephony
        .retain(names)
        .catch((error) => log.warn({ node: name, err: toRollcallError(error) }, 'a deleted trunk stays'));
  };

  /** Settings and the ledger's own chores: once a second, when something comes due, and when somebody woke us. */
  const housekeep = async (): Promise<void> => {
    if (!woken && now() < housekeepAt) return;
    // Who changes a setting wakes us; a wake that was lost costs some seconds.
    const mustLoad = woken || now() >= loadAt;
    woken = false;
    if (mustLoad) {
      await loadSettings();
      loadAt = now() + LOAD_MS;
    }
    const { nextDueMs } = await ledger.settle();
    for (const trunk of await ledger.settleDraining())
      log.info({ trunk }, 'drained: its last call has ended');
    for (const tenure of tenures.values())
      await tenure.housekeep().catch((error) => complain(error, 'a trunk could not be looked after'));
    metrics.lines([...tenures.values()].map((tenure) => tenure.fact()));
    metrics.nodes(
      nodes.map(({ name, calls, onTheirWay, limit, telephony }) => ({
        node: name,
        connected: telephony.connected,
        calls,
        onTheirWay,
        limit,
      })),
    );
    housekeepAt = now() + Math.min(TURN_MS, nextDueMs ?? TURN_MS);
  };

  /** One look at everything; returns how long nothing is to be done, in ms. */
  const turn = async (): Promise<number> => {
    trouble = undefined;
    await housekeep();
    let waitMs = Math.max(0, housekeepAt - now());
    for (const tenure of inOrder(tenures.values())) {
      if (draining) break;
      waitMs = Math.min(waitMs, await tenure.fill());
    }
    return waitMs;
  };

  const run = async (): Promise<void> => {
    while (!draining) {
      let waitMs = TROUBLE_MS;
      try {
        waitMs = await turn();
      } catch (error) {
        complain(error, 'the dialer could not work');
      }
      await clock.sleep(LEAST_TURN_MS);
      if (!draining) await waker.wait(waitMs - LEAST_TURN_MS);
    }
  };

  const watcher = setInterval(() => {
    const delayMs = options.eventLoopDelayMs();
    for (const node of nodes) node.observe(delayMs);
  }, WATCH_MS);
  const leasing = keepLeases();
  const running = run();

  const liveCalls = (): LiveCall[] => [...tenures.values()].flatMap(({ calls }) => [...calls.values()]);
  const holdAll = (): void => {
    for (const tenure of tenures.values()) tenure.hold();
  };
  return {
    wake() {
      woken = true;
      waker.wake();
    },
    status() {
      if (trouble !== undefined) return trouble;
      const troubles = [...tenures.values()].map((tenure) => tenure.trouble);
      return troubles.length === 0 || troubles.includes(undefined) || (troubles[0] ?? true);
    },
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
      while (liveCalls().length > 0 && now() < deadline) await clock.sleep(50);
      for (const call of liveCalls()) call.feed({ type: 'abandon' });
      const hungUpBy = now() + HANG_UP_MS;
      while (liveCalls().length > 0 && now() < hungUpBy) await clock.sleep(20);
      const written = await writer.flush(LAST_WRITES_MS);
      // What is open still is not lost: the next owner finds it in the ledger.
      const open = liveCalls().length;
      if (open > 0 || !written) log.warn({ calls: open, written }, 'stopping with open attempts');
      stopped = true;
      clearInterval(watcher);
      await leasing;
      const owned = [...tenures.keys()];
      await Promise.all([...tenures.values()].map((tenure) => tenure.end()));
      await leases
        .release(options.holder, owned)
        .catch((error) => log.warn({ err: toRollcallError(error) }, 'the leases run out by themselves'));
    },
  };
}

/** The carrier of choice first; of equals the one that has the least calls for its weight. */
function inOrder(tenures: Iterable<Tenure>): Tenure[] {
  const load = ({ inUse, trunk }: Tenure) => inUse / trunk.weight;
  return [...tenures].sort((a, b) => a.trunk.priority - b.trunk.priority || load(a) - load(b));
}
