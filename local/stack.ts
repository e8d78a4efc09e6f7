import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Carrier, startCarrier } from '../test/sim/carrier/carrier.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { type AsteriskInstance, startAsterisk } from './asterisk.ts';
import { type LocalEngine, startEngine } from './engine.ts';
import { engineVariables } from './engine-variables.ts';
import { claimMediaPorts, freePorts } from './ports.ts';
import { type LocalPostgres, startPostgres } from './postgres.ts';

const root = resolve(import.meta.dirname, '..');

export interface StackOptions {
  /** Everything that the parts write; created when missing. */
  dir: string;
  /** Asterisk nodes, and simulated carriers; 1 of each when left out. */
  nodes?: number;
  carriers?: number;
  /** Name of a part before it is started. */
  onPart?: (part: string) => void;
  /** When it aborts, no further part is started, and those that were are stopped. */
  signal?: AbortSignal;
  /** Server settings of PostgreSQL. */
  postgresSettings?: Record<string, string>;
  /** Further variables of the engine. */
  env?: Record<string, string>;
}

/**
 * PostgreSQL, Asterisk, the simulated carrier and the engine, on loopback, with an administrator's key. There is
 * no trunk: the caller makes one by REST, with a carrier's host and port.
 */
export interface Stack {
  postgres: LocalPostgres;
  /** The engine knows them as `asterisk-1`, `asterisk-2`, … */
  nodes: AsteriskInstance[];
  carriers: Carrier[];
  /** The first of each. */
  asterisk: AsteriskInstance;
  carrier: Carrier;
  /** Changes with `restartEngine`. */
  readonly engine: LocalEngine;
  readonly api: ApiClient;
  key: string;
  databaseUrl: string;
  soundsDir: string;
  /** Starts the engine again, after `engine.kill()` or `engine.stop()`. */
  restartEngine(): Promise<void>;
  /** Starts one more process of the engine beside it, with these roles; its log is `<name>.log`. */
  addEngine(name: string, roles: string): Promise<LocalEngine>;
  /** Those, in the order of their start. */
  readonly engines: readonly LocalEngine[];
  /** Stops everything in order: the engine first, so that its last results are written. */
  stop(): Promise<void>;
}

/** Starts the whole of Rollcall against the simulated carrier; what was started is stopped if a part fails. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dir, postgresSettings = {}, env = {} } = options;
  const begin = (part: string) => {
    options.signal?.throwIfAborted();
    options.onPart?.(part);
  };
  const started: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const [postgresPort = 0, httpPort = 0, capturePort = 0] = await freePorts(3);
    const sipCaptureAddress = `127.0.0.1:${capturePort}`;
    const mediaPorts = async () => {
      const claimed = await claimMediaPorts();
      started.push(async () => claimed.release());
      return claimed;
    };
    const soundsDir = join(dir, 'sounds');
    await mkdir(soundsDir, { recursive: true });
    await chmod(soundsDir, 0o755);

    begin('PostgreSQL');
    const postgres = await startPostgres({
      dataDir: join(dir, 'postgres'),
      port: postgresPort,
      settings: postgresSettings,
    });
    started.push(() => postgres.stop());
    await postgres.createDatabase('rollcall');

    const carriers: Carrier[] = [];
    for (const number of upTo(options.carriers)) {
      begin(number === 1 ? 'the simulated carrier' : `simulated carrier ${number}`);
      const [port = 0] = await freePorts(1);
      const mediaPort = (await mediaPorts()).first;
      const one = await startCarrier({ port, mediaPort, runDir: join(dir, named('carrier', number)) });
      started.push(() => one.stop());
      carriers.push(one);
    }

    const ari = { user: 'rollcall', password: randomBytes(18).toString('base64url') };
    const ami = { user: 'rollcall', password: randomBytes(18).toString('base64url') };
    const nodes: AsteriskInstance[] = [];
    const amiAddresses: string[] = [];
    for (const number of upTo(options.nodes)) {
      begin(number === 1 ? 'Asterisk' : `Asterisk ${number}`);
      const [sipPort = 0, sipTlsPort = 0, ariPort = 0, amiPort = 0] = await freePorts(4);
      const { first: rtpStart, last: rtpEnd } = await mediaPorts();
      const one = await startAsterisk({
        rootDir: join(root, 'var/asterisk-root'),
        runDir: join(dir, named('asterisk', number)),
        sipPort,
        sipTlsPort,
        ariPort,
        rtpStart,
        rtpEnd,
        ariUser: ari.user,
        ariPassword: ari.password,
        ami: { port: amiPort, ...ami },
        sipCaptureAddress,
        reads: [soundsDir],
      });
      started.push(() => one.stop());
      nodes.push(one);
      amiAddresses.push(`127.0.0.1:${amiPort}`);
    }

    begin('the engine');
    const databaseUrl = postgres.urlOf('rollcall');
    const engineEnv = engineVariables(
      {
        databaseUrl,
        soundsDir,
        ariUrl: nodes.map((node) => node.ariUrl.replace(/\/ari$/, '')).join(','),
        nodeName: nodes.map((_, index) => `asterisk-${index + 1}`).join(','),
        amiAddress: amiAddresses.join(','),
        ariUser: ari.user,
        ariPassword: ari.password,
        amiUser: ami.user,
        amiPassword: ami.password,
        sipCaptureAddress,
        secretKey: randomBytes(32).toString('base64'),
      },
      env,
    );
    const launch = () => startEngine({ env: engineEnv, port: httpPort, logFile: join(dir, 'engine.log') });
    let engine = await launch();
    started.push(() => engine.stop());
    const key = createKey(engineEnv, 'administrator', 'administrator');
    const engines: LocalEngine[] = [];
    return {
      postgres,
      engines,
      nodes,
      carriers,
      asterisk: first(nodes),
      carrier: first(carriers),
      get engine() {
        return engine;
      },
      api: createApiClient(engine.url, key),
      key,
      databaseUrl,
      soundsDir,
      restartEngine: async () => {
        engine = await launch();
      },
      addEngine: async (name, roles) => {
        const [port = 0] = await freePorts(1);
        const logFile = join(dir, `${name}.log`);
        const added = await startEngine({ env: { ...engineEnv, ROLES: roles }, port, logFile });
        started.push(() => added.stop());
        engines.push(added);
        return added;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const upTo = (count = 1) => Array.from({ length: Math.max(1, count) }, (_, index) => index + 1);
const named = (what: string, number: number) => (number === 1 ? what : `${what}-${number}`);

function first<T>([item]: T[]): T {
  if (item === undefined) throw new RangeError('there is none');
  return item;
}

/** Makes an API key with the engine's own command; returns the key. */
export function createKey(env: Record<string, string>, name: string, role: string): string {
  const result = spawnSync(process.execPath, [join(root, 'engine/main.ts'), 'create-key', name, role], {
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`could not make an API key: ${result.stderr.trim()}`);
  // The key is the last line: the engine's own log may stand before it.
  return result.stdout.trim().split('\n').at(-1) ?? '';
}
