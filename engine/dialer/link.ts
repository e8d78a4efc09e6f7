import type { Clock } from '../clock.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DialerMetrics, Ledger, Telephony } from './interfaces.ts';
import type { LiveCall } from './live-call.ts';
import type { Node } from './node.ts';
import {
  endedAtLatest,
  GRACE_MS,
  hangUpStrangers,
  type Inherited,
  isOurs,
  type Moment,
  reconcileLive,
} from './reconcile.ts';

/**
 * A trunk's connection to one node. Each trunk has a Stasis application of its own, so that whoever takes over
 * the trunk also gets the events of its calls, and the owner of before is told that it has lost them.
 *
 *   down ──> reconciling ──> ready          any ──> replaced (for good)
 *     ^           │            │
 *     └───────────┴────────────┘
 */
export type LinkState = 'down' | 'reconciling' | 'ready' | 'replaced';

export interface Link {
  readonly node: Node;
  readonly telephony: Telephony;
  readonly state: LinkState;
  /** Why no call can be placed here; undefined when one can. */
  readonly trouble: string | undefined;
  /** OPTIONS to the trunk are not answered from this node. */
  readonly unreachable: boolean;
  /** Settings of the trunk changed: brings them to the node. */
  reprovision(): void;
  /** Once a second: what is lost for good is given up. */
  tick(): void;
  close(): Promise<void>;
}

export interface LinkDependencies {
  app: string;
  trunkId: string;
  trunkName: string;
  clock: Clock;
  log: Log;
  ledger: Pick<Ledger, 'openAmong'>;
  metrics: DialerMetrics;
  /** Our calls on this node. */
  calls: () => LiveCall[];
  /** The trunk's lease is ours at this moment: only then may we take its Stasis application. */
  isOurs: () => boolean;
  isKnown: (attemptId: string) => boolean;
  /** Attempts of an earlier owner on this node that have no session yet. */
  inherited: () => Inherited[];
  /** Makes the session of an inherited attempt. */
  resume: (inherited: Inherited, moment: Moment) => Promise<void>;
  /** An inherited attempt whose channel is gone for certain; it may have lived until then (monotonic). */
  giveUp: (inherited: Inherited, until: number) => void;
  onReady: () => void;
  onDown: () => void;
  onReplaced: () => void;
}

/** Nothing has listened at the node's ports for so long: Asterisk is dead, and its calls with it. */
const DEAD_MS = 2_000;
/** After a failed reconciliation. */
const AGAIN_MS = 250;

export function openLink(node: Node, deps: LinkDependencies): Link {
  const { clock, metrics } = deps;
  const log = deps.log.child({ node: node.name, trunk: deps.trunkName });
  const now = () => clock.monotonic();
  let state: LinkState = 'down';
  let because = 'not connected yet';
  /** Of the last connection, by Asterisk's own clock. */
  let asteriskStartedAt: number | undefined;
  let died = false;
  /** When a connection was first refused since the link went down. */
  let refusedAt: number | undefined;
  /** Grows with each change of the connection: a reconciliation of before is void. */
  let round = 0;
  let timer: NodeJS.Timeout | undefined;
  let comparing: Promise<void> = Promise.resolve();

  const moment = (): Moment => ({ mono: now(), died, refusedAt });

  /** One at a time: two that resume the same call would both fail. */
  const reconcile = (): Promise<void> => {
    const mine = ++round;
    clearTimeout(timer);
    state = 'reconciling';
    because = 'comparing with Asterisk';
    comparing = comparing.then(() => compare(mine));
    return comparing;
  };

  const compare = async (mine: number): Promise<void> => {
    if (mine !== round) return;
    try {
      const sentCalls = deps.calls().filter((call) => call.sent);
      const channels = new Map((await telephony.channels()).map((channel) => [channel.id, channel]));
      await reconcileLive(sentCalls, channels, telephony, moment(), log);
      const found = deps.inherited();
      // An INVITE that its owner asked for just before it died may not show yet.
      if (found.some(({ attempt }) => !channels.has(attempt.attemptId))) await clock.sleep(GRACE_MS);
      for (const inherited of found) {
        if (mine !== round) return;
        await deps.resume(inherited, moment());
      }
      const unknown = [...channels.keys()].filter((id) => isOurs(id) && !deps.isKnown(id));
      // Others of our trunks and of other engines have calls here as well: the ledger knows them all.
      const open = new Set(unknown.length === 0 ? [] : await deps.ledger.openAmong(unknown));
      await hangUpStrangers(
        unknown.filter((id) => !open.has(id)),
        telephony,
        log,
      );
      // Last: what it has is enough for calls that are up.
      await node.telephony.provision(deps.trunkId);
      if (mine !== round) return;
      refusedAt = undefined;
      died = false;
      state = 'ready';
      log.info('ready to place calls');
      deps.onReady();
    } catch (error) {
      if (mine !== round) return;
      because = toRollcallError(error).message;
      log.warn({ err: toRollcallError(error) }, 'could not compare with Asterisk');
      timer = setTimeout(() => void reconcile(), AGAIN_MS);
    }
  };

  const telephony: Telephony = node.telephony.connect(deps.app, {
    mayConnect: deps.isOurs,
    onUp: (startedAt) => {
      log.info({ startedAt }, 'connected to Asterisk');
      died ||= asteriskStartedAt !== undefined && asteriskStartedAt !== startedAt.getTime();
      asteriskStartedAt = startedAt.getTime();
      if (state !== 'replaced') void reconcile();
    },
    onDown: (error, refused) => {
      round += 1;
      clearTimeout(timer);
      // A time-out is no sign that nothing runs there.
      refusedAt = refused ? (refusedAt ?? now()) : undefined;
      because = error.message;
      log.warn({ err: toRollcallError(error) }, 'no events from Asterisk');
      if (state === 'replaced') return;
      state = 'down';
      deps.onDown();
    },
    onReplaced: () => {
      round += 1;
      clearTimeout(timer);
      state = 'replaced';
      because = 'another engine took over this trunk';
      deps.onReplaced();
    },
    onStray: (event) => {
      metrics.strayEvent(event.type);
      const id = event.type === 'Dial' ? event.peer.id : undefined;
      // An INVITE of an owner before us that left late: nobody would ever speak to whom it reaches.
      if (state !== 'ready' || id === undefined || !isOurs(id) || deps.isKnown(id)) return;
      log.warn({ attempt: id }, 'hanging up a call that an earlier owner of the trunk sent');
      telephony.hangup(id).catch((error) => log.warn({ err: toRollcallError(error) }, 'request failed'));
    },
  });

  return {
    node,
    telephony,
    get state() {
      return state;
    },
    get trouble() {
      if (state !== 'ready') return `no connection to Asterisk: ${because}`;
      return node.draining ? 'the node is being drained' : undefined;
    },
    get unreachable() {
      return node.telephony.watch.reachable(deps.trunkName) === false;
    },
    reprovision() {
      node.telephony.provision(deps.trunkId).catch((error) => {
        log.warn({ err: toRollcallError(error) }, 'the trunk could not be brought to Asterisk');
        // Tried again with the next reconciliation.
        if (state === 'ready') void reconcile();
      });
    },
    tick() {
      if (state === 'ready' || state === 'replaced') return;
      // A port that refuses may be a firewall's: only where the watch has lost its connection too, Asterisk is dead.
      // Otherwise its calls are decided when it is back, or by their deadline: a message may still be spoken.
      died ||=
        refusedAt !== undefined && now() - refusedAt > DEAD_MS && node.telephony.watch.connected === false;
      const at = moment();
      for (const call of deps.calls()) {
        if (call.sent && (died || at.mono > call.deadline))
          call.feed({ type: 'lost', until: endedAtLatest(at, call.playing?.since ?? at.mono) });
      }
      for (const inherited of deps.inherited()) {
        if (died || at.mono > inherited.deadline)
          deps.giveUp(inherited, endedAtLatest(at, inherited.begunAt ?? at.mono));
      }
    },
    async close() {
      round += 1;
      clearTimeout(timer);
      await telephony.close();
    },
  };
}
