import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Carrier, startCarrier } from '../test/sim/carrier/carrier.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { type AsteriskInstance, startAsterisk } from './asterisk.ts';
import { type LocalEngine, startEngine } from './engine.ts';
import { engineVariables } from './engine-variables.ts';
import { freePorts } from './ports.ts';
import { type LocalPostgres, startPostgres } from './postgres.ts';

const root = resolve(import.meta.dirname, '..');

export interface StackOptions {
  /** Everything that the parts write; created when missing. */
  dir: string;
  /** Name of a part before it is started. */
  onPart?: (part: string) => void;
  /** When it aborts, no further part is started, and those that were are stopped. */
  signal?: AbortSignal;
  /** Server settings of PostgreSQL. */
  postgresSettings?: Record<string, string>;
  /** Further variables of the engine. */
  env?: Record<string, string>;
}

/** PostgreSQL, Asterisk, the simulated carrier and the engine, on loopback, with an administrator's key. */
export interface Stack {
  postgres: LocalPostgres;
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
    const [postgresPort = 0, ariPort = 0, sipPort = 0, carrierPort = 0, httpPort = 0, capturePort = 0] =
      await freePorts(6);
    const sipCaptureAddress = `127.0.0.1:${capturePort}`;
    // Below the kernel's own range for outgoing sockets, and apart from other stacks on this machine.
    const slot = 10_000 + (process.pid % 18) * 1_200;
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

    begin('the simulated carrier');
    const carrier = await startCarrier({ port: carrierPort, mediaPort: slot, runDir: join(dir, 'carrier') });
    started.push(() => carrier.stop());

    begin('Asterisk');
    const ariPassword = randomBytes(18).toString('base64url');
    const asterisk = await startAsterisk({
      rootDir: join(root, 'var/asterisk-root'),
      runDir: join(dir, 'asterisk'),
      sipPort,
      ariPort,
      rtpStart: slot + 600,
      rtpEnd: slot + 1_199,
      ariUser: 'rollcall',
      ariPassword,
      sipCaptureAddress,
      trunks: [{ endpoint: 'carrier', host: '127.0.0.1', port: carrierPort }],
      reads: [soundsDir],
    });
    started.push(() => asterisk.stop());

    begin('the engine');
    const databaseUrl = postgres.urlOf('rollcall');
    const ariUrl = `http://127.0.0.1:${ariPort}`;
    const engineEnv = engineVariables(
      { databaseUrl, soundsDir, ariUrl, ariUser: 'rollcall', ariPassword, sipCaptureAddress },
      env,
    );
    const launch = () => startEngine({ env: engineEnv, port: httpPort, logFile: join(dir, 'engine.log') });
    let engine = await launch();
    started.push(() => engine.stop());
    const key = createKey(engineEnv, 'administrator', 'administrator');
    return {
      postgres,
      asterisk,
      carrier,
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
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
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
