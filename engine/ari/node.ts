import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { RollcallError, toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type AriClient, type ConnectionHandlers, operations } from './client.ts';
import { type AriEvent, EVENT_TYPES, parseEvent } from './events.ts';
import { type AriHttp, openAriHttp } from './http.ts';
import { createRouter } from './router.ts';
import { openAriSocket } from './socket.ts';
import { requireVersion } from './version.ts';

export interface AriOptions {
  /** Asterisk's HTTP server, without `/ari`. */
  url: string;
  user: string;
  password: string;
}

/** One Asterisk: a pool of connections for requests, and any number of Stasis applications on it. */
export interface AriNode {
  readonly http: AriHttp;
  /**
   * Connects a Stasis application, and stays connected until its `close`. Whoever connects an application of
   * this name after us gets its events instead: see `onReplaced`.
   */
  connect(app: string, handlers: ConnectionHandlers): AriClient;
  /** After all its applications were closed. */
  close(): Promise<void>;
}

const infoSchema = z.object({
  system: z.object({ version: z.string() }),
  status: z.object({ startup_time: z.string() }),
});

/**
 * Opens a node; nothing is sent yet. Operations throw ARI_UNAVAILABLE when no answer came and ARI_REFUSED for
 * an error status; see {@link AriHttp}.
 */
export function openAriNode(options: AriOptions, { clock, log }: { clock: Clock; log: Log }): AriNode {
  const http = openAriHttp(options);

  const connect = (app: string, handlers: ConnectionHandlers): AriClient => {
    const router = createRouter(handlers.onStray);
    let connected = false;
    let startedAt = new Date(0);
    const onMessage = (text: string) => {
      let event: AriEvent | undefined;
      try {
        event = parseEvent(text);
      } catch (error) {
        log.warn({ err: toRollcallError(error) }, 'event not understood');
        return;
      }
      if (event?.type === 'ApplicationReplaced') handlers.onReplaced();
      else if (event !== undefined) router.dispatch(event);
    };
    const socket = openAriSocket({ ...options, app }, clock, {
      prepare: async () => {
        if (handlers.mayConnect?.() === false)
          throw new RollcallError('NOT_READY', `the application ${app} is another engine's at this moment`);
        const { system, status } = infoSchema.parse(await http.request('GET', '/asterisk/info'));
        requireVersion(system.version);
        startedAt = new Date(status.startup_time);
      },
      onOpen: () => {
        connected = true;
        // Half of all events are of no use to us. Without the filter they come, and are dropped here.
        const allowed = EVENT_TYPES.map((type) => ({ type }));
        http
          .request('PUT', `/applications/${encodeURIComponent(app)}/eventFilter`, { body: { allowed } })
          .catch((error) => log.warn({ err: toRollcallError(error) }, 'events are not filtered'));
        handlers.onUp(startedAt);
      },
      onMessage,
      onDown: (error) => {
        connected = false;
        handlers.onDown(error, isRefusal(error));
      },
    });
    return {
      ...operations(http, app),
      attach: router.attach,
      detach: router.detach,
      get connected() {
        return connected;
      },
      close: () => socket.close(),
    };
  };
  return { http, connect, close: () => http.close() };
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error as { code?: string }).code === 'ECONNREFUSED' || isRefusal(error.cause);
}
