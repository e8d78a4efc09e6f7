import { execFile } from 'node:child_process';
import { chown, mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type RunningProcess, startProcess, type User } from './processes.ts';
import { serviceUser } from './service-user.ts';

const run = promisify(execFile);
const dialplanDir = resolve(import.meta.dirname, '../dialplan');

/** Milliseconds until Asterisk must answer ARI; it takes about 0.3 s on 2 cores. */
const startDeadlineMs = 20_000;
const stopGraceMs = 5000;
/** Debian's list of the authorities whose certificates are trusted. */
const systemCertificates = '/etc/ssl/certs/ca-certificates.crt';

/** By Node's name of the processor: Debian's library directory and its dynamic loader. */
const platforms: Partial<Record<NodeJS.Architecture, { triplet: string; loader: string }>> = {
  x64: { triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
};

export interface AsteriskOptions {
  /** The tree that docker/asterisk-root.sh made. */
  rootDir: string;
  /** This instance's own directory, created when missing: configuration, state, log. */
  runDir: string;
  /** UDP and TCP. */
  sipPort: number;
  sipTlsPort: number;
  ariPort: number;
  /** First and last UDP port for audio; each call takes two. */
  rtpStart: number;
  rtpEnd: number;
  ariUser: string;
  ariPassword: string;
  /** On 127.0.0.1; no AMI when left out. */
  ami?: { port: number; user: string; password: string };
  /** Address that SIP listens on; 127.0.0.1 when left out. */
  sipHost?: string;
  /** Behind NAT: the public address, and the network reached without it (192.168.0.0/16). */
  externalAddress?: string;
  localNetwork?: string;
  /** Files for trunks over TLS: whose certificates we trust (the system's list when left out), and our own. */
  tls?: { caFile?: string; certFile?: string; keyFile?: string };
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
 * @returns when ARI answers. It knows no trunk: the engine brings them.
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
  for (const name of ['config', 'state', 'run', 'log']) {
    await mkdir(join(runDir, name), { recursive: true });
  }
  const values = {
    AST_CONFIG_DIR: join(runDir, 'config'),
    AST_STATE_DIR: join(runDir, 'state'),
    AST_RUN_DIR: join(runDir, 'run'),
    AST_LOG_DIR: join(runDir, 'log'),
    AST_MODULES_DIR: join(rootDir, 'usr/lib', platform?.triplet ?? '', 'asterisk/modules'),
    AST_DATA_DIR: join(rootDir, 'usr/share/asterisk'),
    SIP_BIND: options.sipHost ?? '127.0.0.1',
    SIP_PORT: String(options.sipPort),
    SIP_TLS_PORT: String(options.sipTlsPort),
    TLS_CA_FILE: options.tls?.caFile ?? systemCertificates,
    TLS_CERT_FILE: options.tls?.certFile ?? '',
    TLS_KEY_FILE: options.tls?.keyFile ?? '',
    EXTERNAL_ADDRESS: options.externalAddress ?? '',
    LOCAL_NETWORK: options.localNetwork ?? '',
    SIP_CAPTURE_ADDRESS: options.sipCaptureAddress ?? '',
    ARI_BIND: '127.0.0.1',
    ARI_PORT: String(options.ariPort),
    ARI_USER: options.ariUser,
    ARI_PASSWORD: options.ariPassword,
    AMI_BIND: options.ami === undefined ? '' : '127.0.0.1',
    AMI_PORT: String(options.ami?.port ?? ''),
    AMI_USER: options.ami?.user ?? '',
    AMI_PASSWORD: options.ami?.password ?? '',
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

async function give(directory: string, { uid, gid }: User): Promise<void> {
  const entries = await readdir(directory, { recursive: true });
  for (const entry of ['.', ...entries]) await chown(join(directory, entry), uid, gid);
}

async function answers(ariUrl: string, { ariUser, ariPassword }: AsteriskOptions): Promise<boolean> {
  const authorization = `Basic ${Buffer.from(`${ariUser}:${ariPassword}`).toString('base64')}`;
  const info = await fetch(`${ariUrl}/asterisk/info?only=system`, {
    headers: { authorization },
    signal: AbortSignal.timeout(2000),
  });
  await info.body?.cancel();
  return info.ok;
}
