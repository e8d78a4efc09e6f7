/** What the dialer needs from the outside. The store and the ARI client fit these; unit tests may fake them. */
import type { AriClient, ConnectionHandlers } from '../ari/client.ts';
import type {
  AttemptEnd,
  AttemptRef,
  Claim,
  ClaimRequest,
  Lease,
  OpenAttempt,
  TrunkLine,
} from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import type { Outcome } from '../domain/terms.ts';
import type { TrunkHealthReport } from '../domain/trunk-health.ts';

/** The rows that the dialer reads and writes. Every method may throw while Postgres is away. */
export interface Ledger {
  trunks(): Promise<TrunkLine[]>;
  /** The district's policy, and the country whose numbers need no prefix. */
  rules(): Promise<{ policy: Policy; country: string }>;
  zones(): Promise<string[]>;
  /** How long ago, in ms, each INVITE of the last `withinMs` left on a trunk. */
  recentSends(trunkId: string, withinMs: number): Promise<number[]>;
  claim(request: ClaimRequest): Promise<Claim[]>;
  /** On any node. */
  openAttempts(trunkId: string): Promise<OpenAttempt[]>;
  /** Puts the trunk's open attempts under our fence. */
  adoptAttempts(trunkId: string, fence: number): Promise<void>;
  /** Those of the ids that are open attempts, of any trunk. */
  openAmong(attemptIds: string[]): Promise<string[]>;
  markPlaced(attempts: AttemptRef[]): Promise<void>;
  /** Returns the ids of those that are ours to answer: their message may start. */
  markAnswered(attempts: AttemptRef[]): Promise<string[]>;
  endAttempts(ends: AttemptEnd[]): Promise<void>;
  /** Ends what expired or was stopped, closes broadcasts, and makes ready what came due; `nextDueMs`: the next. */
  settle(): Promise<{ nextDueMs: number | null }>;
  /** This and the next change nothing once another owner has the trunk. */
  refuseTrunk(lease: Lease, reason: string): Promise<void>;
  /** Draining trunks that have no call left are paused; returns their names. */
  settleDraining(): Promise<string[]>;
  saveTrunkHealth(lease: Lease, report: TrunkHealthReport): Promise<void>;
}

/** The right to place calls on a trunk, for one engine at a time; see docs/decisions/0009. */
export interface Leases {
  /**
   * Renews what this holder has for another `ttlMs` of the database's clock, and with `take` also takes every
   * trunk but those in `except` whose lease is free or has run out, with a higher fence. Returns all it has.
   */
  hold(
    holder: string,
    engine: string,
    ttlMs: number,
    options: { take: boolean; except: string[] },
  ): Promise<Lease[]>;
  /** Gives trunks free for the next engine at once. */
  release(holder: string, trunkIds: string[]): Promise<void>;
}

/** What operations decided about the Asterisk nodes. */
export interface Nodes {
  /** Adds those that are new; returns the names of those that are being drained. */
  draining(names: string[]): Promise<string[]>;
}

export type Telephony = AriClient;

/** What is known of a node's health beside its connection; empty where nothing watches it. */
export interface NodeWatch {
  /** True while the watch has a connection of its own to the node; undefined where there is no watch. */
  readonly connected: boolean | undefined;
  /** False: the node's OPTIONS to this trunk are not answered. Undefined: not known. */
  reachable(trunk: string): boolean | undefined;
  registration(trunk: string): string | undefined;
  /** The longest queue of Asterisk's task processors. */
  readonly backlog: number | undefined;
}

/** One Asterisk, as the dialer uses it. */
export interface TelephonyNode {
  readonly name: string;
  readonly watch: NodeWatch;
  /** An application of ours has its events. */
  readonly connected: boolean;
  /** Connects to a Stasis application of this node, until the client's `close`. */
  connect(app: string, handlers: ConnectionHandlers): Telephony;
  /** Brings a trunk's SIP settings to the node, if it does not have just these; throws while it cannot. */
  provision(trunkId: string): Promise<void>;
  /** Takes the SIP settings of all trunks that it was given, but of those with these names, away from the node. */
  retain(names: readonly string[]): Promise<void>;
}

/** How a call was refused, as the SIP message said it. Headers that are absent are empty. */
export interface SipRefusal {
  code: number;
  phrase: string;
  reason: string;
  warning: string;
  retryAfter: string;
}

/** Copies of SIP messages. */
export interface SipWatch {
  /** Resolves with when the INVITE of this SIP Call-ID left (monotonic ms); with now where that cannot be seen. */
  inviteSeen(sipCallId: string): Promise<number>;
  /** The final failure of a call in the last minute, if it was seen. */
  refusalOf(sipCallId: string): SipRefusal | undefined;
  readonly listening: boolean;
}

/** Facts for Prometheus. */
export interface DialerMetrics {
  attemptEnded(fact: { outcome: Outcome; trunk: string; node: string; seconds: number }): void;
  lines(facts: LineFact[]): void;
  nodes(
    facts: { node: string; connected: boolean; calls: number; onTheirWay: number; limit: number }[],
  ): void;
  claimed(fact: { calls: number; seconds: number }): void;
  strayEvent(type: string): void;
}

export interface LineFact {
  trunk: string;
  inUse: number;
  max: number;
  permits: number;
  /** Calls per second that the trunk is held to now. */
  rate: number;
  /** 0 closed, 1 half-open, 2 open */
  breaker: number;
}

/** True for an error after which the same statement may succeed later, and may already have. */
export type IsTransient = (error: unknown) => boolean;
