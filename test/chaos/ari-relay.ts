import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP relay between the engines and one Asterisk's HTTP server, which carries REST and events. */
export interface AriRelay {
  readonly port: number;
  /** Ends all connections; new ones are welcome. */
  drop(): void;
  /** Ends all connections, and refuses new ones until `open`. */
  refuse(): Promise<void>;
  /** Forwards nothing until `open`, and closes nothing: as a firewall that forgot the connections. */
  stall(): void;
  /** All is well again. What was stalled goes on, if its ends still wait. */
  open(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the relay on `port`; resolves when it listens. */
export async function startAriRelay(port: number, ariPort: number): Promise<AriRelay> {
  const sockets = new Set<Socket>();
  let stalled = false;
  let server: Server | undefined;

  const tie = (from: Socket, to: Socket): void => {
    sockets.add(from);
    if (stalled) from.pause();
    from.on('data', (data) => void to.write(data));
    from.on('end', () => to.end());
    // Either end may break; the other one learns of it by the close.
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const onConnection = (near: Socket): void => {
    const far = connect(ariPort, '127.0.0.1');
    tie(near, far);
    tie(far, near);
    for (const socket of [near, far]) socket.setNoDelay(true);
  };
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const listen = async (): Promise<void> => {
    server = createServer(onConnection).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const close = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    drop();
    if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
  };
  await listen();
  return {
    port,
    drop,
    refuse: close,
    stall() {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    async open() {
      stalled = false;
      for (const socket of sockets) socket.resume();
      if (server === undefined) await listen();
    },
    stop: close,
  };
}
