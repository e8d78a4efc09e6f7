import WebSocket from 'ws';
import type { Clock } from '../clock.ts';
import { RollcallError } from '../errors.ts';

/** Asterisk answers pings; a peer that is silent for longer than this is gone, though no FIN came. */
const PING_EVERY_MS = 2_000;
const SILENT_LIMIT_MS = 6_000;
const CLOSE_LIMIT_MS = 1_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

export interface SocketHandlers {
  /** Runs before each connection, for example to check the version. A rejection counts as a failed try. */
  prepare(): Promise<void>;
  onOpen(): void;
  onMessage(text: string): void;
  /** Once per lost or failed connection. */
  onDown(error: Error): void;
}

export interface AriSocket {
  close(): Promise<void>;
}

/**
 * Keeps a WebSocket for Asterisk's events open: reconnects with exponential back-off (100 ms to 2 s) until
 * `close`. What happened while it was down is lost; the handlers are told of every gap.
 */
export function openAriSocket(
  { url, user, password, app }: { url: string; user: string; password: string; app: string },
  clock: Clock,
  handlers: SocketHandlers,
): AriSocket {
  const address = new URL(url);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.pathname = `${address.pathname.replace(/\/$/, '')}/ari/events`;
  address.search = new URLSearchParams({ app, subscribeAll: 'false' }).toString();
  const headers = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
  const closing = new AbortController();

  const connectOnce = async (): Promise<void> => {
    await handlers.prepare();
    closing.signal.throwIfAborted();
    const socket = new WebSocket(address, { headers, handshakeTimeout: 3_000, perMessageDeflate: false });
    const onAbort = () => {
      socket.close();
      // ws itself waits 30 s for a peer that does not say goodbye.
      setTimeout(() => socket.terminate(), CLOSE_LIMIT_MS).unref();
    };
    closing.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await runUntilClosed(socket, clock, handlers);
    } finally {
      closing.signal.removeEventListener('abort', onAbort);
    }
  };

  const run = async (): Promise<void> => {
    let retryMs = FIRST_RETRY_MS;
    while (!closing.signal.aborted) {
      const began = clock.monotonic();
      try {
        await connectOnce();
      } catch (error) {
        if (!closing.signal.aborted) handlers.onDown(error as Error);
      }
      // A connection that held for a while was a good one: start over with the shortest wait.
      retryMs = clock.monotonic() - began > 10_000 ? FIRST_RETRY_MS : Math.min(retryMs * 2, LAST_RETRY_MS);
      // The sleep's only rejection is our own close.
      await clock.sleep(retryMs, closing.signal).catch(() => undefined);
    }
  };
  const running = run();
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

/** Resolves never; rejects when the connection is over, however it ended. */
function runUntilClosed(socket: WebSocket, clock: Clock, handlers: SocketHandlers): Promise<never> {
  return new Promise((_, reject) => {
    let heardAt = clock.monotonic();
    let failure: Error | undefined;
    const alive = () => {
      heardAt = clock.monotonic();
    };
    const pinger = setInterval(() => {
      if (clock.monotonic() - heardAt > SILENT_LIMIT_MS) {
        failure = new Error(`Asterisk was silent for ${SILENT_LIMIT_MS} ms`);
        socket.terminate();
      } else if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, PING_EVERY_MS);
    socket.on('open', handlers.onOpen);
    socket.on('pong', alive);
    socket.on('message', (data) => {
      alive();
      handlers.onMessage(data.toString());
    });
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', (code) => {
      clearInterval(pinger);
      reject(
        new RollcallError('ARI_UNAVAILABLE', `the event connection to Asterisk closed (${code})`, {
          cause: failure,
        }),
      );
    });
  });
}
