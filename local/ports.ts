import { createServer, type Server } from 'node:net';

/** `count` TCP ports on 127.0.0.1 that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** UDP ports for audio, of one Asterisk or one simulated carrier: enough for 750 calls. */
export interface MediaPorts {
  first: number;
  last: number;
  release(): void;
}

const MEDIA_BLOCK = 1_500;
/** Below the kernel's own range for outgoing sockets, which begins at 32768. */
const MEDIA_BLOCKS = Array.from({ length: 14 }, (_, index) => 10_000 + index * MEDIA_BLOCK);

/**
 * Claims a block of ports that nobody else has who claims by this function, in any process of this machine.
 * Audio ports are opened only while a call lasts, so that trying them would not show whose they are: a TCP
 * listener on the block's first port does, and the kernel takes it back when this process dies.
 *
 * Throws an Error when all are taken.
 */
export async function claimMediaPorts(): Promise<MediaPorts> {
  for (const first of MEDIA_BLOCKS) {
    const server = await listen(first);
    if (server === undefined) continue;
    // Does not keep the process alive.
    server.unref();
    return { first, last: first + MEDIA_BLOCK - 1, release: () => void server.close() };
  }
  throw new Error('no ports are left for audio: stop another demo or test run');
}

function listen(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
