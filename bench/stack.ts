/**
 * The parts for a figure, on loopback. The only file of the benchmark that starts an engine or makes a trunk.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Policy } from '../engine/domain/policy.ts';
import { type Database, openDatabase } from '../engine/store/db.ts';
import { type ApiClient, createApiClient } from '../local/api-client.ts';
import { type AsteriskInstance, startAsterisk } from '../local/asterisk.ts';
import { type LocalEngine, startEngine } from '../local/engine.ts';
import { engineVariables } from '../local/engine-variables.ts';
import { freePorts } from '../local/ports.ts';
import { type LocalPostgres, startPostgres } from '../local/postgres.ts';
import { createKey } from '../local/stack.ts';
import { daytimeZone } from '../local/zone.ts';
import { type BenchCarrier, startBenchCarrier } from './carrier/carrier.ts';

const root = resolve(import.meta.dirname, '..');
/** Two ports for each call at once; below the kernel's own range for outgoing sockets. */
const RTP = { rtpStart: 20_000, rtpEnd: 31_999 };

export interface TrunkCaps {
  maxChannels: number;
  callsPerSecond: number;
}

/** Caps that never bind. */
export const UNBOUND: TrunkCaps = { maxChannels: 10_000, callsPerSecond: 10_000 };

export interface BenchOptions {
  /** Everything that the parts write; emptied first. */
  dir: string;
  caps?: TrunkCaps;
  policy?: Partial<Policy>;
  /** Where the audio of all calls goes; nowhere when left out. */
  mediaPort?: number;
  /** An ARI to use instead of an Asterisk and a carrier. */
  ari?: { url: string; user: string; password: string };
  /** Keeps statistics of every statement (pg_stat_statements): costs Postgres some CPU. */
  statements?: boolean;
  /** Port of the engine's inspector, for profiles. */
  inspectPort?: number;
  /** Where Asterisk sends its copies of SIP messages; to the engine itself when left out. */
  sipCaptureAddress?: (engine: string) => Promise<string>;
  env?: Record<string, string>;
}

export interface Bench {
  dir: string;
  db: Database;
  postgres: LocalPostgres;
  /** Absent where another ARI takes their place. */
  asterisk?: AsteriskInstance;
  carrier?: BenchCarrier;
  engine: LocalEngine;
  api: ApiClient;
  ari: { url: string; user: string; password: string };
  soundsDir: string;
  /** By name, for CPU and memory. */
  pids: Record<string, number>;
  setCaps(caps: Partial<TrunkCaps>): Promise<void>;
  setPolicy(policy: Partial<Policy>): Promise<void>;
  stop(): Promise<void>;
}

/** No pauses but those that a figure asks for, and one try. */
const PLAIN: Partial<Policy> = { answerPauseMs: 0, keyWaitMs: 0, maxTries: 1, maxTrunkFailures: 1 };

/** Starts PostgreSQL with its own settings for safety, the carrier, Asterisk and the engine; makes the trunk. */
export async function startBench(options: BenchOptions): Promise<Bench> {
  const { dir, caps = UNBOUND, mediaPort, ari: standIn } = options;
  await rm(dir, { recursive: true, force: true });
  const soundsDir = join(dir, 'sounds');
  await mkdir(soundsDir, { recursive: true });
  await chmod(soundsDir, 0o755);
  const started: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const [
      postgresPort = 0,
      ariPort = 0,
      sipPort = 0,
      carrierPort = 0,
      httpPort = 0,
      capturePort = 0,
      ownMediaPort = 0,
      sipTlsPort = 0,
    ] = await freePorts(8);
    const postgres = await startPostgres({
      dataDir: join(dir, 'postgres'),
      port: postgresPort,
      settings: options.statements
        ? { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track_planning': 'on' }
        : {},
    });
    started.push(() => postgres.stop());
    await postgres.createDatabase('rollcall');
    const databaseUrl = postgres.urlOf('rollcall');

    const ari = standIn ?? { url: `http://127.0.0.1:${ariPort}`, user: 'rollcall', password: secret() };
    const capture = `127.0.0.1:${capturePort}`;
    const far =
      standIn === undefined
        ? await startFarSide({ carrierPort, ownMediaPort, sipPort, sipTlsPort, ariPort })
        : undefined;

    async function startFarSide(
      ports: Record<'carrierPort' | 'ownMediaPort' | 'sipPort' | 'sipTlsPort' | 'ariPort', number>,
    ) {
      const carrier = await startBenchCarrier({
        port: ports.carrierPort,
        ownMediaPort: ports.ownMediaPort,
        ...(mediaPort === undefined ? {} : { mediaPort }),
        runDir: join(dir, 'carrier'),
      });
      started.push(() => carrier.stop());
      const asterisk = await startAsterisk({
        rootDir: join(root, 'var/asterisk-root'),
        runDir: join(dir, 'asterisk'),
        sipPort: ports.sipPort,
        sipTlsPort: ports.sipTlsPort,
        ariPort: ports.ariPort,
        ...RTP,
        ariUser: ari.user,
        ariPassword: ari.password,
        sipCaptureAddress: (await options.sipCaptureAddress?.(capture)) ?? capture,
        reads: [soundsDir],
      });
      started.push(() => asterisk.stop());
      return { carrier, asterisk };
    }

    const env = {
      ...engineVariables(
        {
          databaseUrl,
          soundsDir,
          ariUrl: ari.url,
          ariUser: ari.user,
          ariPassword: ari.password,
          ...(far === undefined ? {} : { sipCaptureAddress: capture }),
        },
        { PROMPTS_DIR: join(root, 'bench/prompts'), ...options.env },
      ),
      ...(options.inspectPort && { NODE_OPTIONS: `--inspect=127.0.0.1:${options.inspectPort}` }),
    };
    const engine = await startEngine({ env, port: httpPort, logFile: join(dir, 'engine.log') });
    started.push(() => engine.stop());
    const { NODE_OPTIONS: _, ...plainEnv } = env as Record<string, string>;
    const api = createApiClient(engine.url, createKey(plainEnv, 'bench', 'administrator'));
    const db = openDatabase(databaseUrl, { max: 2, application: 'bench', onError: () => undefined });
    started.push(() => db.end());

    const setPolicy = (policy: Partial<Policy>) =>
      api.request<void>('PUT', '/v1/district', {
        name: 'Bench',
        zone: daytimeZone(new Date()),
        country: 'US',
        policy: { ...PLAIN, ...policy },
      });
    await setPolicy(options.policy ?? {});
    await api.request('PUT', '/v1/sites/BENCH', { name: 'Bench', level: 'elementary' });
    const { id: trunkId } = await api.request<{ id: string }>('POST', '/v1/trunks', {
      name: 'carrier',
      host: '127.0.0.1',
      port: carrierPort,
      // The stand-in has no SIP to ask.
      qualifySeconds: 0,
      ...caps,
    });
    return {
      dir,
      db,
      postgres,
      ...far,
      engine,
      api,
      ari,
      soundsDir,
      pids: {
        engine: engine.process.pid,
        postgres: postgres.pid,
        ...(far && { asterisk: far.asterisk.pid, carrier: far.carrier.pid }),
      },
      setCaps: (changes) => api.request('PATCH', `/v1/trunks/${trunkId}`, changes),
      setPolicy,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const secret = () => randomBytes(18).toString('base64url');
