import { execFile } from 'node:child_process';
import { chown, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type RunningProcess, startProcess, type User } from './processes.ts';
import { serviceUser } from './service-user.ts';

const run = promisify(execFile);
const dialplanDir = resolve(import.meta.dirname, '../dialplan');

/** Milliseconds until Asterisk must answer ARI; it takes about 0.3 s on 2 cores. */
const startDeadlineMs = 20_000;
const stopGraceMs = 5000;

/** By Node's name of the processor: Debian's library directory and its dynamic loader. */
const platforms: Partial<Record<NodeJS.Architecture, { triplet: string; loader: string }>> = {
  x64: { triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
};

/** A carrier that knows us by our address: dial it as `PJSIP/+13035550101@<endpoint>`. */
export interface TrunkAddress {
  /** Name, of small letters, digits and hyphens. */
  endpoint: string;
  host: string;
  port: number;
  /** Seconds between OPTIONS to the carrier; 0 for none. 30 when left out. */
  qualifySeconds?: number;
}

export interface AsteriskOptions {
  /** The tree that docker/asterisk-root.sh made. */
  rootDir: string;
  /** This instance's own directory, created when missing: configuration, state, log. */
  runDir: string;
  sipPort: number;
  ariPort: number;
  /** First and last UDP port for audio; each call takes two. */
  rtpStart: number;
  rtpEnd: number;
  ariUser: string;
  ariPassword: string;
  trunks: readonly TrunkAddress[];
  /** Address that SIP listens on; 127.0.0.1 when left out. */
  sipHost?: string;
  /** Behind NAT: the public address, and the network reached without it (192.168.0.0/16). */
  externalAddress?: string;
  localNetwork?: string;
  /** Directory of further trunk files, instead of `trunks`: see dialplan/pjsip.conf. */
  trunksDir?: string;
  /** `host:port` where the engine listens for copies of SIP messages; none are sent when left out. */
  sipCaptureAddress?: string;
  /** Directories that Asterisk must be able to read, such as the prompts'; they must exist. */
  reads?: readonly string[];
}

export interface AsteriskInstance {
  /** `http://127.0.0.1:<ariPort>/ari` */
  readonly ariUrl: string;
  /** Changes with `restart`. */
  readonly pid: number;
  readonly logFile: string;
  /** Who it runs as: "nobody" when this process is root, else this process's own user. */
  readonly user: User | 'same';
  /** SIGTERM: calls are hung up. SIGKILL after 5 s. */
  stop(): Promise<void>;
  /** SIGKILL, as in a crash: the carrier sees no BYE. */
  kill(): Promise<void>;
  /** Starts it again with the same configuration and ports, after `stop` or `kill` (or stops it first). */
  restart(): Promise<void>;
}

/**
 * Starts an Asterisk from an unpacked tree, without chroot or mounts: the tree's own dynamic loader
 * runs it, and asterisk.conf points all directories into the tree or into `runDir`. So several
 * instances run side by side, and file names mean the same to the engine and to Asterisk.
 *
 * @returns when ARI answers and knows all trunks.
 * @throws Error with a sentence that says what to do.
 */
export async function startAsterisk(options: AsteriskOptions): Promise<AsteriskInstance> {
  const rootDir = resolve(options.rootDir);
  const runDir = resolve(options.runDir);
  const ariUrl = `http://127.0.0.1:${options.ariPort}/ari`;
  const logFile = join(runDir, 'log/asterisk.log');
  const start = await program(rootDir);
  if (`${runDir}/run/asterisk.ctl`.length > 107) {
    throw new Error(
      `the directory ${runDir} is too long a name for Asterisk's control socket: use one of at most 88 characters`,
    );
  }
  await configure(options, rootDir, runDir);
  const user = serviceUser('nobody', [rootDir, runDir, ...(options.reads ?? [])]);
  if (user !== undefined) await give(runDir, user);

  async function launch(): Promise<RunningProcess> {
    const child = await startProcess({
      name: 'asterisk',
      command: start.command,
      args: [...start.args, '-f', '-C', join(runDir, 'config/asterisk.conf')],
      logFile,
      cwd: runDir,
      ...(user === undefined ? {} : { user }),
    });
    await child.ready(() => answers(ariUrl, options), startDeadlineMs);
    return child;
  }

  let child = await launch();
  return {
    ariUrl,
    logFile,
    user: user ?? 'same',
    get pid() {
      return child.pid;
    },
    stop: () => child.stop(stopGraceMs),
    kill: () => child.kill(),
    async restart() {
      await child.stop(stopGraceMs);
      child = await launch();
    },
  };
}

/**
 * Runs a command of Asterisk's console, such as `module reload res_pjsip.so`, in the instance of `runDir`, over its
 * control socket. Returns what it printed; throws an Error when no Asterisk runs there.
 */
export async function asteriskConsole(rootDir: string, runDir: string, command: string): Promise<string> {
  const { command: file, args } = await program(resolve(rootDir));
  const config = join(resolve(runDir), 'config/asterisk.conf');
  const { stdout } = await run(file, [...args, '-C', config, '-rx', command]).catch((cause: unknown) => {
    throw new Error(`no Asterisk runs in ${runDir}`, { cause });
  });
  return stdout.trim();
}

async function program(rootDir: string): Promise<{ command: string; args: string[] }> {
  const platform = platforms[process.arch];
  if (platform === undefined)
    throw new Error(`no Asterisk tree for the processor ${process.arch}: use x64 or arm64, or Docker`);
  const libraries = join(rootDir, 'usr/lib', platform.triplet);
  const asterisk = join(rootDir, 'usr/sbin/asterisk');
  await stat(asterisk).catch(() => {
    throw new Error(`no Asterisk in ${rootDir}: build it with docker/asterisk-root.sh ${rootDir}`);
  });
  return { command: join(libraries, platform.loader), args: ['--library-path', libraries, asterisk] };
}

async function configure(options: AsteriskOptions, rootDir: string, runDir: string): Promise<void> {
  const platform = platforms[process.arch];
  const trunksDir = options.trunksDir === undefined ? join(runDir, 'trunks') : resolve(options.trunksDir);
  for (const name of ['config', 'state', 'run', 'log', 'trunks']) {
    await mkdir(join(runDir, name), { recursive: true });
  }
  for (const trunk of options.trunks) {
    await writeFile(join(runDir, 'trunks', `${trunk.endpoint}.conf`), trunkFile(trunk));
  }
  const values = {
    AST_CONFIG_DIR: join(runDir, 'config'),
    AST_STATE_DIR: join(runDir, 'state'),
    AST_RUN_DIR: join(runDir, 'run'),
    AST_LOG_DIR: join(runDir, 'log'),
    AST_MODULES_DIR: join(rootDir, 'usr/lib', platform?.triplet ?? '', 'asterisk/modules'),
    AST_DATA_DIR: join(rootDir, 'usr/share/asterisk'),
    TRUNKS_DIR: trunksDir,
    SIP_BIND: options.sipHost ?? '127.0.0.1',
    SIP_PORT: String(options.sipPort),
    EXTERNAL_ADDRESS: options.externalAddress ?? '',
    LOCAL_NETWORK: options.localNetwork ?? '',
    SIP_CAPTURE_ADDRESS: options.sipCaptureAddress ?? '',
    ARI_BIND: '127.0.0.1',
    ARI_PORT: String(options.ariPort),
    ARI_USER: options.ariUser,
    ARI_PASSWORD: options.ariPassword,
    RTP_START: String(options.rtpStart),
    RTP_END: String(options.rtpEnd),
  };
  const script = join(dialplanDir, 'render.sh');
  const env = { PATH: process.env.PATH, ...values };
  await run('sh', [script, dialplanDir, values.AST_CONFIG_DIR], { env }).catch(
    (cause: { stderr?: string }) => {
      throw new Error(`could not write the Asterisk configuration: ${cause.stderr?.trim()}`, { cause });
    },
  );
}

function trunkFile({ endpoint, host, port, qualifySeconds }: TrunkAddress): string {
  if (!/^[a-z0-9-]+$/.test(endpoint)) {
    throw new Error(`"${endpoint}" is no name for a trunk: use small letters, digits and hyphens`);
  }
  if (!/^[A-Za-z0-9.-]+$/.test(host))
    throw new Error(`"${host}" is no host name or IPv4 address for the trunk ${endpoint}`);
  return `[${endpoint}](trunk-ip)
aors = ${endpoint}
[${endpoint}](trunk-aor)
contact = sip:${host}:${port}
${qualifySeconds === undefined ? '' : `qualify_frequency = ${qualifySeconds}\n`}[${endpoint}](trunk-identify)
endpoint = ${endpoint}
match = ${host}:${port}
`;
}

async function give(directory: string, { uid, gid }: User): Promise<void> {
  const entries = await readdir(directory, { recursive: true });
  for (const entry of ['.', ...entries]) await chown(join(directory, entry), uid, gid);
}

async function answers(ariUrl: string, { ariUser, ariPassword, trunks }: AsteriskOptions): Promise<boolean> {
  const authorization = `Basic ${Buffer.from(`${ariUser}:${ariPassword}`).toString('base64')}`;
  const get = (path: string) =>
    fetch(`${ariUrl}/${path}`, { headers: { authorization }, signal: AbortSignal.timeout(2000) });
  const info = await get('asterisk/info?only=system');
  await info.body?.cancel();
  if (!info.ok) return false;
  const endpoints = await Promise.all(trunks.map(({ endpoint }) => get(`endpoints/PJSIP/${endpoint}`)));
  await Promise.all(endpoints.map((response) => response.body?.cancel()));
  return endpoints.every((response) => response.ok);
}
