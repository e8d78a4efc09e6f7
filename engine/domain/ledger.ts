import type { Counted, History } from './retry.ts';
import type { AttemptState, HeardLevel, Outcome } from './terms.ts';
import type { NumberFormat } from './trunk.ts';

/** A call that the dialer may place now: its attempt is committed, its INVITE is not sent. */
export interface Claim {
  attemptId: string;
  callId: string;
  broadcastId: string;
  trunkId: string;
  phone: string;
  callerId: string | null;
  promptHash: string;
  messageMs: number;
  history: History;
}

/** What the dialer asks the ledger for. */
export interface ClaimRequest {
  trunkId: string;
  node: string;
  limit: number;
  /** IANA zones in which phones may ring now. */
  openZones: string[];
  /** The attempt's deadline: this, plus the message so many times. */
  fixedMs: number;
  messagePlays: number;
}

/** An attempt that the ledger shows as not ended. */
export interface OpenAttempt extends Claim {
  state: Exclude<AttemptState, 'ended'>;
  /** How long ago the answer was committed, in ms of the database's clock; null: not answered. */
  answeredAgoMs: number | null;
}

/** How an attempt ended, and what follows for its call. */
export interface AttemptEnd {
  attemptId: string;
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
}

/** What the dialer needs to know of a trunk. */
export interface TrunkLine {
  id: string;
  name: string;
  /** The PJSIP endpoint in Asterisk. */
  endpoint: string;
  maxChannels: number;
  /** May be a fraction: 0.5 is one call in two seconds. */
  callsPerSecond: number;
  numberFormat: NumberFormat;
  callerId: string | null;
  active: boolean;
}
