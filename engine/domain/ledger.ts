import type { Counted, History } from './retry.ts';
import type { AttemptState, HeardLevel, Outcome } from './terms.ts';
import type { NumberFormat } from './trunk.ts';

/** The right to call by a trunk: `fence` grows with each owner, and the ledger knows an earlier one by it. */
export interface Lease {
  trunkId: string;
  fence: number;
}

/** A call that the dialer may place now: its attempt is committed, its INVITE is not sent. */
export interface Claim {
  attemptId: string;
  callId: string;
  broadcastId: string;
  trunkId: string;
  /** Of the lease under which it was claimed. */
  fence: number;
  /** The Asterisk node that is to place it. */
  node: string;
  /** Of its broadcast; lower is sooner. */
  urgency: number;
  phone: string;
  callerId: string | null;
  promptHash: string;
  messageMs: number;
  history: History;
}

/** What the dialer asks the ledger for. */
export interface ClaimRequest {
  trunkId: string;
  /** Nothing is claimed unless the trunk's lease has this fence and is not over. */
  fence: number;
  /** One per permit: at most so many calls, and call i goes to node i. */
  nodes: string[];
  /** IANA zones in which phones may ring now. */
  openZones: string[];
  /** The attempt's deadline: this, plus the message so many times. */
  fixedMs: number;
  messagePlays: number;
  /** Calls per phone and local day over all broadcasts; see UNCAPPED_URGENCY. */
  dailyCap: number;
}

/** An attempt that the ledger shows as not ended. */
export interface OpenAttempt extends Claim {
  state: Exclude<AttemptState, 'ended'>;
  /** How long ago the answer was committed, in ms of the database's clock; null: not answered. */
  answeredAgoMs: number | null;
  /** Until it is over at the latest, in ms of the database's clock; negative: it is. */
  deadlineInMs: number;
}

/** Which attempt is written about, and by whom: a fence that is not the attempt's changes nothing. */
export interface AttemptRef {
  attemptId: string;
  fence: number;
}

/** How an attempt ended, and what follows for its call. */
export interface AttemptEnd extends AttemptRef {
  outcome: Outcome;
  heard: HeardLevel;
  heardMs: number;
  sipCode: number | null;
  cause: number | null;
  /** Keys pressed, in order. */
  digits: string;
  interrupted: boolean;
  counted: Counted;
  /** null: final. */
  retryInMs: number | null;
  /**
   * The trunk failed, not the parent: the call is due at once by another trunk that is active, whose breaker
   * is not open and that the call does not avoid. Where there is none, `retryInMs` counts.
   */
  reroute: boolean;
}

/** What the dialer needs to know of a trunk. Its PJSIP endpoint in Asterisk has its name. */
export interface TrunkLine {
  id: string;
  name: string;
  maxChannels: number;
  /** May be a fraction: 0.5 is one call in two seconds. */
  callsPerSecond: number;
  numberFormat: NumberFormat;
  /** What the carrier wants before the number; null: nothing. */
  numberPrefix: string | null;
  /** Numbers in E.164 must begin with one of these; null: with that of the district's country. */
  allowedPrefixes: string[] | null;
  callerId: string | null;
  /** Lower is used first. */
  priority: number;
  /** Among trunks of one priority. */
  weight: number;
  /** Grows with each change that Asterisk must learn. */
  revision: number;
  state: 'active' | 'paused' | 'draining' | 'refused';
}
