import type { AriEvent } from './events.ts';
import { channelOf } from './events.ts';

export type ChannelHandler = (event: AriEvent) => void;

export interface Router {
  /** Registers the one handler of a channel; call before the request that makes the channel. */
  attach(channelId: string, handler: ChannelHandler): void;
  detach(channelId: string): void;
  dispatch(event: AriEvent): void;
  readonly size: number;
}

/**
 * One map from channel to handler, however many calls are up. Events of channels without a handler go to
 * `onStray`, never nowhere.
 */
export function createRouter(onStray: (event: AriEvent) => void): Router {
  const handlers = new Map<string, ChannelHandler>();
  return {
    attach(channelId, handler) {
      if (handlers.has(channelId)) throw new Error(`channel ${channelId} has a handler already`);
      handlers.set(channelId, handler);
    },
    detach(channelId) {
      handlers.delete(channelId);
    },
    dispatch(event) {
      const channelId = channelOf(event);
      const handler = channelId === undefined ? undefined : handlers.get(channelId);
      if (handler === undefined) onStray(event);
      else handler(event);
    },
    get size() {
      return handlers.size;
    },
  };
}
