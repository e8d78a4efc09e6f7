import type { CarrierCall } from '../sim/carrier/carrier.ts';
import type { Dialog } from './dialogs.ts';
import type { Playback } from './witness.ts';

/** A call as the ledger shows it at the end. */
export interface LedgerCall {
  id: string;
  broadcastId: string;
  phone: string;
  state: string;
  outcome: string | null;
  heard: string;
}

/** An attempt as the ledger shows it at the end; times are epoch ms of PostgreSQL. */
export interface LedgerAttempt {
  id: string;
  callId: string;
  trunk: string;
  node: string;
  number: number;
  state: string;
  outcome: string | null;
  interrupted: boolean;
  sipCode: number | null;
  heardMs: number;
  messageMs: number;
  claimedAt: number;
  placedAt: number | null;
  answeredAt: number | null;
  endedAt: number | null;
}

export interface TrunkCaps {
  name: string;
  maxChannels: number;
  callsPerSecond: number;
}

/** All that is known after a run: what was asked for, what the ledger says, and what others saw. */
export interface Evidence {
  /** Broadcast by phone; each phone is in one broadcast. */
  planned: ReadonlyMap<string, string>;
  calls: readonly LedgerCall[];
  attempts: readonly LedgerAttempt[];
  /** Of all links. */
  dialogs: readonly Dialog[];
  /** The carriers' own log. */
  carrierCalls: readonly CarrierCall[];
  playbacks: readonly Playback[];
  /** SIP Call-ID by attempt, where it was seen. */
  callIds: ReadonlyMap<string, string>;
  trunks: readonly TrunkCaps[];
  /** Phones whose message could not be rendered before that moment, epoch ms: the disk was full. */
  noAudioUntil: ReadonlyMap<string, number>;
  /** From the answer to the first word. */
  pauseMs: number;
}

/** A rule that does not hold, and all there is to say about it. */
export interface Violation {
  rule: string;
  what: string;
  phone?: string;
}
