/** What the dialer needs from the outside. The store and the ARI client fit these; unit tests may fake them. */
import type { AriClient, ConnectionHandlers } from '../ari/client.ts';
import type { AttemptEnd, Claim, ClaimRequest, OpenAttempt, TrunkLine } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import type { Outcome } from '../domain/terms.ts';

/** The rows that the dialer reads and writes. Every method may throw while Postgres is away. */
export interface Ledger {
  trunks(): Promise<TrunkLine[]>;
  /** The district's policy, and the country whose numbers need no prefix. */
  rules(): Promise<{ policy: Policy; country: string }>;
  zones(): Promise<string[]>;
  /** How long ago, in ms, each INVITE of the last `withinMs` left on a trunk. */
  recentSends(trunkId: string, withinMs: number): Promise<number[]>;
  claim(request: ClaimRequest): Promise<Claim[]>;
  openAttempts(node: string): Promise<OpenAttempt[]>;
  markPlaced(attemptIds: string[]): Promise<void>;
  markAnswered(attemptIds: string[]): Promise<void>;
  endAttempts(ends: AttemptEnd[]): Promise<void>;
  /** Ends what expired or was stopped, and closes broadcasts that have no open call. */
  settle(): Promise<void>;
  refuseTrunk(trunkId: string, reason: string): Promise<void>;
}

export type Telephony = AriClient;
export type ConnectTelephony = (handlers: ConnectionHandlers) => Telephony;

/** Facts for Prometheus. */
export interface DialerMetrics {
  attemptEnded(fact: { outcome: Outcome; trunk: string; seconds: number }): void;
  lines(facts: { trunk: string; inUse: number; max: number; permits: number }[]): void;
  claimed(fact: { calls: number; seconds: number }): void;
  strayEvent(type: string): void;
  telephony(connected: boolean): void;
}

/** True for an error after which the same statement may succeed later, and may already have. */
export type IsTransient = (error: unknown) => boolean;
