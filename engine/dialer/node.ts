import { createWindow } from '../domain/overload.ts';
import type { TelephonyNode } from './interfaces.ts';

/** One Asterisk at work for all our trunks: how much is on its way there, and whether it may get more. */
export interface Node {
  readonly telephony: TelephonyNode;
  readonly name: string;
  /** Operations take it out of service: no new call. */
  draining: boolean;
  /** Our calls on it. */
  readonly calls: number;
  /** Originates asked for whose INVITE has not been seen. */
  readonly onTheirWay: number;
  /** The most that may be on their way. */
  readonly limit: number;
  readonly mayOriginate: boolean;
  /** An INVITE is asked for; call what it returns when it has left. */
  originating(): () => void;
  callBegan(): void;
  callEnded(): void;
  /** Feeds what slows the pace before inbound calls suffer. */
  observe(eventLoopMs: number | undefined): void;
}

/** Makes the node's account; `onRoom`: another originate may be asked for. */
export function createNode(telephony: TelephonyNode, now: () => number, onRoom: () => void): Node {
  const window = createWindow();
  let calls = 0;
  let onTheirWay = 0;
  return {
    telephony,
    name: telephony.name,
    draining: false,
    get calls() {
      return calls;
    },
    get onTheirWay() {
      return onTheirWay;
    },
    get limit() {
      return window.limit;
    },
    get mayOriginate() {
      return onTheirWay < window.limit;
    },
    originating() {
      const askedAt = now();
      onTheirWay += 1;
      return () => {
        onTheirWay -= 1;
        window.feed(now(), { latencyMs: now() - askedAt });
        onRoom();
      };
    },
    callBegan() {
      calls += 1;
    },
    callEnded() {
      calls -= 1;
    },
    observe(eventLoopMs) {
      const { backlog } = telephony.watch;
      window.feed(now(), {
        ...(eventLoopMs !== undefined && { eventLoopMs }),
        ...(backlog !== undefined && { backlog }),
      });
    },
  };
}
