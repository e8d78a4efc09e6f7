/**
 * The composition root: reads the configuration, connects the modules, and takes them down in order. The
 * only file that imports everything.
 *
 *     node engine/main.ts                                   runs the engine
 *     node engine/main.ts create-key NAME ROLE              prints a new API key, once
 *
 * Exits with 0 after an ordered shutdown (SIGTERM, SIGINT), with 1 when it cannot start.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startWatcher } from './ami/watcher.ts';
import { createApi, createHealthApi } from './api/create-api.ts';
import { openAriNode } from './ari/node.ts';
import { openSipCapture } from './ari/sip-capture.ts';
import { createTelephonyNode } from './ari/telephony-node.ts';
import { systemClock } from './clock.ts';
import { type Config, readConfig } from './config.ts';
import { type Dialer, startDialer } from './dialer/dialer.ts';
import { CATEGORIES, ROLES, type Role } from './domain/terms.ts';
import { RollcallError, toRollcallError } from './errors.ts';
import { importFile } from './imports/import-file.ts';
import { type Jobs, startJobs } from './jobs/jobs.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics } from './metrics.ts';
import { createSecrets } from './secrets.ts';
import { createEspeak } from './speech/espeak.ts';
import { createFlite } from './speech/flite.ts';
import { createRenderer, soundPath } from './speech/renderer.ts';
import { loadTemplates } from './speech/templates.ts';
import { type Database, isTransient, openDatabase } from './store/db.ts';
import { createKey } from './store/keys.ts';
import { createLeases } from './store/leases.ts';
import { createLedger } from './store/ledger.ts';
import { callsByOutcome, queueDepth } from './store/metrics.ts';
import { migrate } from './store/migrate.ts';
import { createNodes } from './store/nodes.ts';
import { type Listener, listenForDialer, listenForJobs, wakeJobs } from './store/notify.ts';
import { trunksForNodes } from './store/trunks.ts';

/** How long a starting engine waits for a database that is starting as well. */
const DATABASE_WAIT_MS = 30_000;
const DIALER_CONNECTIONS = 4;
const DAY_MS = 24 * 3_600_000;

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  if (command === 'create-key') return printNewKey(config, log, rest);
  if (command !== undefined) throw new RollcallError('CONFIG_INVALID', `there is no command ${command}`);

  const stopped = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info({ signal }, 'shutting down');
      stopped.abort();
    });
  }
  const engine = await startEngine(config, log);
  if (!stopped.signal.aborted) {
    await new Promise((resolve) => stopped.signal.addEventListener('abort', resolve, { once: true }));
  }
  await engine.stop();
  log.info('stopped');
}

/** Starts the roles that the configuration names; `stop` takes them down in order, losing nothing. */
async function startEngine(config: Config, log: Log): Promise<{ stop(): Promise<void> }> {
  const clock = systemClock;
  const onError = (error: Error) => log.warn({ err: error }, 'database connection lost');
  const db = openDatabase(config.databaseUrl, { onError });
  await prepareDatabase(db, config, log);
  const metrics = createMetrics();
  metrics.onScrape({
    categories: CATEGORIES,
    queue: () => queueDepth(db),
    outcomes: () => callsByOutcome(db, { since: new Date(clock.now().getTime() - DAY_MS) }),
  });

  let dialer: Dialling | undefined;
  const templates = await loadTemplates(config.promptsDirectory);
  const rendering = new AbortController();
  const jobs = config.roles.has('jobs')
    ? await startJobs({
        db,
        databaseUrl: config.databaseUrl,
        clock,
        log,
        renderer: createRenderer({
          directory: config.sounds.directory,
          voices: [createFlite(), createEspeak()],
          log,
          signal: rendering.signal,
        }),
        templates,
      })
    : undefined;
  const wakes = jobs && hearWakes(jobs, config, log);
  const work = jobs ?? elsewhere(db, log);
  const health = {
    log,
    registry: metrics.registry,
    readiness: () => readiness(db, config, dialer?.dialer),
  };
  const api = config.roles.has('api')
    ? await createApi({
        ...health,
        db,
        clock,
        importLimitBytes: config.http.importLimitBytes,
        templates,
        sealSecret: createSecrets(config.secretKey).seal,
        importFile: (request) => importFile(db, { ...request, log }),
        broadcastCreated: (id) => work.prepare(id),
        scheduleChanged: () => work.scheduleChanged(),
      })
    : await createHealthApi(health);
  const address = await api.listen(config.http);
  log.info({ address, ...(config.roles.has('api') && { docs: `${address}/docs` }) }, 'listening');
  // Last: all else that can fail has not.
  if (config.roles.has('dialer')) dialer = startDialling(config, log, metrics);
  log.info({ roles: [...config.roles] }, 'Rollcall is running');

  return {
    // First no new work, then what is under way, last what all of it writes to.
    stop: async () => {
      await api.close();
      // A message that is half spoken is spoken again after the next start.
      rendering.abort();
      for (const result of await Promise.allSettled([dialer?.stop(), jobs?.stop(), wakes?.end()])) {
        if (result.status === 'rejected') log.error({ err: result.reason }, 'a part did not stop well');
      }
      await db.end();
    },
  };
}

interface Dialling {
  dialer: Dialer;
  stop(): Promise<void>;
}

/** The dialer with what only it needs: its own connections, so that no report can make a parent wait. */
function startDialling(config: Config, log: Log, metrics: ReturnType<typeof createMetrics>): Dialling {
  const clock = systemClock;
  const db = openDatabase(config.databaseUrl, {
    max: DIALER_CONNECTIONS,
    application: 'rollcall-dialer',
    keepPlans: true,
    queryTimeoutMs: 10_000,
    onError: (error) => log.warn({ err: error }, 'database connection lost'),
  });
  const capture =
    config.sipCapture &&
    openSipCapture(config.sipCapture, clock.monotonic, (error) =>
      log.warn({ err: error }, 'copies of SIP messages are not received'),
    );
  const nodes = config.nodes.map((node) => openNode(node, config, db, log));
  const eventLoop = monitorEventLoopDelay({ resolution: 20 });
  eventLoop.enable();
  const dialer = startDialer({
    ledger: createLedger(db),
    leases: createLeases(db),
    nodes: createNodes(db),
    telephony: nodes.map(({ telephony }) => telephony),
    clock,
    log,
    metrics: metrics.dialer,
    holder: randomUUID(),
    engine: `${hostname()}:${process.pid}`,
    app: config.ari.app,
    isTransient,
    soundPathOf: (hash) => soundPath(config.sounds.asteriskDirectory, hash),
    sip: capture ?? {
      listening: false,
      inviteSeen: async () => clock.monotonic(),
      refusalOf: () => undefined,
    },
    eventLoopDelayMs: () => {
      const delayMs = eventLoop.percentile(99) / 1e6;
      eventLoop.reset();
      return delayMs;
    },
  });
  const listener = listenForDialer(config.databaseUrl, dialer.wake, (error) =>
    log.warn({ err: error }, 'the connection that hears wakes was lost'),
  );
  return {
    dialer,
    stop: async () => {
      await dialer.drain(config.shutdownGraceMs);
      await listener.end();
      await Promise.all(nodes.map((node) => node.close()));
      await capture?.close();
      eventLoop.disable();
      await db.end();
    },
  };
}

/** One Asterisk: its requests and events (ARI), what watches it (AMI), and the trunks that it is given. */
function openNode({ name, ariUrl, ami }: Config['nodes'][number], config: Config, db: Database, log: Log) {
  const secrets = createSecrets(config.secretKey);
  const ari = openAriNode({ ...config.ari, url: ariUrl }, { clock: systemClock, log });
  const watcher =
    ami &&
    startWatcher(
      { ...ami, ...config.ami },
      { clock: systemClock, log: log.child({ node: name }) },
      // The dialer looks once a second.
      { onChange: () => undefined },
    );
  const telephony = createTelephonyNode({
    name,
    ari,
    watch: {
      get connected() {
        return watcher?.health.connected;
      },
      reachable: (trunk) => watcher?.health.contacts.get(trunk)?.reachable ?? undefined,
      registration: (trunk) => watcher?.health.registrations.get(trunk),
      get backlog() {
        return watcher?.health.taskProcessorBacklog ?? undefined;
      },
    },
    log,
    settingsOf: async (trunkId) => {
      const trunk = (await trunksForNodes(db)).find(({ id }) => id === trunkId);
      return trunk && { ...trunk, secret: trunk.secret && secrets.open(trunk.secret, trunk.name) };
    },
  });
  return {
    telephony,
    close: async () => {
      await watcher?.close();
      await telephony.close();
    },
  };
}

/** Takes the work that an API in another process has for the jobs of this one. */
function hearWakes(jobs: Jobs, config: Config, log: Log): Listener {
  return listenForJobs(
    config.databaseUrl,
    // Neither rejects.
    (broadcast) => void (broadcast === undefined ? jobs.scheduleChanged() : jobs.prepare(broadcast)),
    (error) => log.warn({ err: error }, 'the connection that hears of new work was lost'),
  );
}

/** The jobs of another process: told at once, and if that fails it finds the work at its next tick. */
function elsewhere(db: Database, log: Log): Pick<Jobs, 'prepare' | 'scheduleChanged'> {
  const wake = (broadcast?: string) =>
    wakeJobs(db, broadcast).catch((error: unknown) =>
      log.warn({ broadcast, err: error }, 'the jobs process was not told; its tick will find the work'),
    );
  return { prepare: (id) => wake(id), scheduleChanged: () => wake() };
}

/** Waits for the database and brings its schema up to date. */
async function prepareDatabase(db: Database, config: Config, log: Log): Promise<void> {
  const deadline = Date.now() + DATABASE_WAIT_MS;
  for (;;) {
    try {
      const applied = await migrate(db, config.migrationsDirectory);
      if (applied.length > 0) log.info({ migrations: applied }, 'database brought up to date');
      return;
    } catch (error) {
      if (!isTransient(error) || Date.now() > deadline) throw error;
      log.warn({ err: error }, 'waiting for the database');
      await systemClock.sleep(250);
    }
  }
}

async function readiness(
  db: Database,
  config: Config,
  dialer: Dialer | undefined,
): Promise<Record<string, true | string>> {
  const database = await db.query('select 1').then(
    () => true as const,
    (error: Error) => error.message,
  );
  return { database, ...(config.roles.has('dialer') && { dialer: dialer?.status() ?? 'starting' }) };
}

async function printNewKey(config: Config, log: Log, [name, role]: string[]): Promise<void> {
  if (name === undefined || !ROLES.includes(role as Role)) {
    throw new RollcallError('CONFIG_INVALID', `usage: create-key NAME ${ROLES.join('|')}`);
  }
  const db = openDatabase(config.databaseUrl, { onError: (error) => log.warn({ err: error }) });
  await prepareDatabase(db, config, log);
  const { key } = await createKey(db, { name, role: role as Role });
  await db.end();
  process.stdout.write(`${key}\n`);
}

main().catch((error: unknown) => {
  const { code, message } = toRollcallError(error);
  process.stderr.write(`${code}: ${message}\n`);
  // What is still open (a pool, a socket) must not keep a failed start alive.
  process.exit(1);
});
