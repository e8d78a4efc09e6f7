import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ApiClient, createApiClient } from '../../local/api-client.ts';
import { type AsteriskInstance, startAsterisk } from '../../local/asterisk.ts';
import { engineVariables } from '../../local/engine-variables.ts';
import { claimMediaPorts, freePorts } from '../../local/ports.ts';
import { type LocalPostgres, startPostgres } from '../../local/postgres.ts';
import { createKey } from '../../local/stack.ts';
import { type Carrier, startCarrier } from '../sim/carrier/carrier.ts';
import { SHORT_PROMPTS } from '../support/stack.ts';
import { type AriRelay, startAriRelay } from './ari-relay.ts';
import { mountSmallDisk, type SmallDisk } from './disk.ts';
import { type ChaosEngine, type EngineSpec, startChaosEngine } from './engines.ts';
import { type Link, startLink } from './links.ts';
import { startWitness, type Witness } from './witness.ts';

const root = resolve(import.meta.dirname, '../..');
const ARI_USER = 'rollcall';

export interface ChaosStackOptions {
  dir: string;
  nodes: number;
  trunks: number;
  engines: readonly EngineSpec[];
  seed: number;
  /** An engine ended that nobody killed. */
  onDeath(name: string): void;
}

/** One Asterisk with what stands between it and the engines, and the witness that listens to it. */
export interface ChaosNode {
  name: string;
  asterisk: AsteriskInstance;
  ari: AriRelay;
  witness: Witness;
  sipPort: number;
}

/** One trunk: the link that Asterisk dials, and the carrier behind it. */
export interface ChaosTrunk {
  name: string;
  link: Link;
  carrier: Carrier;
}

export interface ChaosStack {
  postgres: LocalPostgres;
  databaseUrl: string;
  nodes: ChaosNode[];
  trunks: ChaosTrunk[];
  engines: ChaosEngine[];
  api: ApiClient;
  ariUser: string;
  ariPassword: string;
  disk: SmallDisk | undefined;
  /** Steps the engines' wall clock away from the true time by so many ms. */
  stepClock(byMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything, with a faulty link before each carrier and a faulty ARI relay before each Asterisk. */
export async function startChaosStack(options: ChaosStackOptions): Promise<ChaosStack> {
  const { dir, seed } = options;
  const started: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const soundsDir = join(dir, 'sounds');
    await mkdir(soundsDir, { recursive: true });
    const disk = await mountSmallDisk(soundsDir);
    if (disk !== undefined) started.push(() => disk.unmount());
    await chmod(soundsDir, 0o755);
    const clockFile = join(dir, 'clock');
    await writeFile(clockFile, '0');

    const [postgresPort = 0] = await freePorts(1);
    const postgres = await startPostgres({ dataDir: join(dir, 'postgres'), port: postgresPort });
    started.push(() => postgres.stop());
    await postgres.createDatabase('rollcall');

    const mediaPorts = async () => {
      const claimed = await claimMediaPorts();
      started.push(async () => claimed.release());
      return claimed;
    };
    const trunks: ChaosTrunk[] = [];
    for (let index = 0; index < options.trunks; index += 1) {
      const name = `trunk-${index + 1}`;
      const [carrierPort = 0, linkPort = 0] = await freePorts(2);
      const runDir = join(dir, `carrier-${index + 1}`);
      const { first: mediaPort } = await mediaPorts();
      const carrier = await startCarrier({ port: carrierPort, mediaPort, runDir });
      started.push(() => carrier.stop());
      const logFile = join(dir, `link-${index + 1}.log`);
      const link = await startLink({ port: linkPort, carrierPort, logFile, seed: seed + index + 1 });
      started.push(() => link.stop());
      trunks.push({ name, link, carrier });
    }

    const ariPassword = randomBytes(18).toString('base64url');
    const ami = { user: 'rollcall', password: randomBytes(18).toString('base64url') };
    const amiAddresses: string[] = [];
    const [capturePort = 0] = await freePorts(1);
    const sipCaptureAddress = `127.0.0.1:${capturePort}`;
    const nodes: ChaosNode[] = [];
    for (let index = 0; index < options.nodes; index += 1) {
      const [sipPort = 0, sipTlsPort = 0, ariPort = 0, amiPort = 0, relayPort = 0] = await freePorts(5);
      const { first: rtpStart, last: rtpEnd } = await mediaPorts();
      const asterisk = await startAsterisk({
        rootDir: join(root, 'var/asterisk-root'),
        runDir: join(dir, `asterisk-${index + 1}`),
        sipPort,
        sipTlsPort,
        ariPort,
        rtpStart,
        rtpEnd,
        ariUser: ARI_USER,
        ariPassword,
        ami: { port: amiPort, ...ami },
        sipCaptureAddress,
        reads: [soundsDir],
      });
      amiAddresses.push(`127.0.0.1:${amiPort}`);
      started.push(() => asterisk.stop());
      const ari = await startAriRelay(relayPort, ariPort);
      started.push(() => ari.stop());
      const witness = startWitness(asterisk.ariUrl, ARI_USER, ariPassword);
      started.push(() => witness.stop());
      nodes.push({ name: `asterisk-${index + 1}`, asterisk, ari, witness, sipPort });
    }

    const databaseUrl = postgres.urlOf('rollcall');
    const env = engineVariables(
      {
        databaseUrl,
        soundsDir,
        ariUrl: nodes.map(({ ari }) => `http://127.0.0.1:${ari.port}`).join(','),
        nodeName: nodes.map(({ name }) => name).join(','),
        amiAddress: amiAddresses.join(','),
        amiUser: ami.user,
        amiPassword: ami.password,
        secretKey: randomBytes(32).toString('base64'),
        ariUser: ARI_USER,
        ariPassword,
        sipCaptureAddress,
      },
      { LOG_LEVEL: 'debug', ...SHORT_PROMPTS },
    );
    const engines: ChaosEngine[] = [];
    let apiPort = 0;
    for (const spec of options.engines) {
      const [port = 0] = await freePorts(1);
      if (spec.roles.includes('api')) apiPort = port;
      const logFile = join(dir, `${spec.name}.log`);
      const engine = await startChaosEngine({
        spec,
        env,
        port,
        logFile,
        clockFile,
        onDeath: options.onDeath,
      });
      started.push(() => engine.stop());
      engines.push(engine);
    }
    const key = createKey(env, 'chaos', 'administrator');
    return {
      postgres,
      databaseUrl,
      nodes,
      trunks,
      engines,
      api: createApiClient(`http://127.0.0.1:${apiPort}`, key),
      ariUser: ARI_USER,
      ariPassword,
      disk,
      stepClock: (byMs) => writeFile(clockFile, String(byMs)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
