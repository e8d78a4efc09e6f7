import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { type AsteriskInstance, startAsterisk } from '../../local/asterisk.ts';
import { claimMediaPorts, freePorts } from '../../local/ports.ts';
import { type Carrier, startCarrier } from '../sim/carrier/carrier.ts';

const root = resolve(import.meta.dirname, '../..');

export interface TestNode {
  asterisk: AsteriskInstance;
  /** Of Asterisk's HTTP server, without `/ari`. */
  ari: { url: string; user: string; password: string };
  ami: { host: string; port: number; user: string; password: string };
  carriers: Carrier[];
}

/** An Asterisk that knows no trunk, and simulated carriers; all ends with the test. */
export async function startNode(t: Test, { carriers: count = 0 } = {}): Promise<TestNode> {
  const dir = resolve(root, 'var/test', `node-${process.pid}`);
  await mkdir(dir, { recursive: true });
  const started: (() => unknown)[] = [() => rm(dir, { recursive: true, force: true })];
  t.teardown(async () => {
    for (const end of started.reverse()) await end();
  });
  const mediaPorts = async () => {
    const claimed = await claimMediaPorts();
    started.push(claimed.release);
    return claimed;
  };
  const carriers: Carrier[] = [];
  for (let index = 0; index < count; index += 1) {
    const [port = 0] = await freePorts(1);
    const { first: mediaPort } = await mediaPorts();
    const carrier = await startCarrier({ port, mediaPort, runDir: join(dir, `carrier-${index}`) });
    started.push(() => carrier.stop());
    carriers.push(carrier);
  }
  const [sipPort = 0, sipTlsPort = 0, ariPort = 0, amiPort = 0] = await freePorts(4);
  const { first: rtpStart, last: rtpEnd } = await mediaPorts();
  const account = { user: 'rollcall', password: 'a-password-for-one-test' };
  const asterisk = await startAsterisk({
    rootDir: join(root, 'var/asterisk-root'),
    runDir: join(dir, 'asterisk'),
    ...{ sipPort, sipTlsPort, ariPort, rtpStart, rtpEnd },
    ariUser: account.user,
    ariPassword: account.password,
    ami: { port: amiPort, ...account },
  });
  started.push(() => asterisk.stop());
  return {
    asterisk,
    ari: { url: `http://127.0.0.1:${ariPort}`, ...account },
    ami: { host: '127.0.0.1', port: amiPort, ...account },
    carriers,
  };
}

/** Resolves with what `check` finds, asked every 20 ms; rejects with its source after `deadlineMs`. */
export async function until<T>(check: () => T | undefined, deadlineMs = 10_000): Promise<T> {
  for (const deadline = Date.now() + deadlineMs; ; await sleep(20)) {
    const found = check();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${check}`);
  }
}
