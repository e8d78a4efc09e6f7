/**
 * `make serve`: the engine for real use on this machine, until Ctrl-C. PostgreSQL is the embedded one unless
 * DATABASE_URL is set, Asterisk the unpacked one unless ARI_URL is set. Variables come from the environment
 * or from `.env`, as .env.example explains them.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startAsterisk } from './asterisk.ts';
import { reportFailure } from './failure.ts';
import { startPostgres } from './postgres.ts';
import { startPhase } from './progress.ts';
import { takeServeLock } from './serve-lock.ts';
import { readServeSettings, type ServeSettings } from './settings.ts';

const root = resolve(import.meta.dirname, '..');
const dir = join(root, 'var/serve');

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());

const started: (() => Promise<void>)[] = [];
try {
  const settings = await readSettings();
  await takeServeLock(join(dir, 'lock'));
  await runEngine(await startParts(settings));
} catch (error) {
  reportFailure(error);
} finally {
  for (const end of started.reverse()) await end().catch(reportFailure);
}

/** What `.env` and the environment say, with the defaults that .env.example states. */
async function readSettings(): Promise<ServeSettings> {
  if (existsSync(join(root, '.env'))) process.loadEnvFile(join(root, '.env'));
  const given = (name: string, fallback: string) => [name, process.env[name] || fallback] as const;
  const local = Object.fromEntries([
    given('DATABASE_URL', ''),
    given('POSTGRES_PORT', '5433'),
    given('SOUNDS_DIR', join(dir, 'sounds')),
    given('ARI_URL', ''),
    given('ARI_PORT', '8088'),
    given('ARI_USER', 'rollcall'),
    given('ARI_PASSWORD', ''),
    given('AMI_PORT', '5038'),
    given('AMI_USER', 'rollcall'),
    given('AMI_PASSWORD', ''),
    given('SECRET_KEY', await keptKey()),
    given('SIP_BIND', '0.0.0.0'),
    given('SIP_PORT', '5060'),
    given('SIP_TLS_PORT', '5061'),
    given('TLS_CA_FILE', '/etc/ssl/certs/ca-certificates.crt'),
    given('TLS_CERT_FILE', ''),
    given('TLS_KEY_FILE', ''),
    given('SIP_CAPTURE_LISTEN', '127.0.0.1:9060'),
    given('RTP_START', '10000'),
    given('RTP_END', '20000'),
    given('EXTERNAL_ADDRESS', ''),
    given('LOCAL_NETWORK', ''),
  ]);
  return readServeSettings(local, process.env);
}

/** Starts what is not given by the environment; returns the engine's variables. */
async function startParts(settings: ServeSettings): Promise<Record<string, string>> {
  const phase = startPhase('Starting');
  await mkdir(settings.soundsDir, { recursive: true });

  let databaseUrl = '';
  if (settings.postgresPort !== undefined) {
    phase.update('PostgreSQL');
    const postgres = await startPostgres({ dataDir: join(dir, 'postgres'), port: settings.postgresPort });
    started.push(() => postgres.stop());
    await postgres.createDatabase('rollcall');
    databaseUrl = postgres.urlOf('rollcall');
  }
  if (settings.asterisk !== undefined) {
    phase.update('Asterisk');
    const asterisk = await startAsterisk({
      ...settings.asterisk,
      rootDir: join(root, 'var/asterisk-root'),
      runDir: join(dir, 'asterisk'),
      reads: [settings.soundsDir],
    });
    started.push(() => asterisk.stop());
  }
  const variables = settings.engineVariables(databaseUrl);
  await writeSecret(join(dir, 'engine.json'), JSON.stringify(variables));
  phase.done('ready; the engine follows, its log is below');
  process.stdout.write(
    `  API documentation     http://127.0.0.1:${variables.HTTP_PORT ?? '8080'}/docs\n` +
      '  A first API key       make key NAME=office ROLE=administrator\n\n',
  );
  return variables;
}

/** The key of the trunks' secrets where `.env` has none: made at the first start, and the same at every other. */
async function keptKey(): Promise<string> {
  const file = join(dir, 'secret.key');
  await mkdir(dir, { recursive: true });
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined) return kept.trim();
  const key = randomBytes(32).toString('base64');
  await writeFile(file, `${key}\n`, { mode: 0o600, flag: 'wx' });
  return key;
}

/** For `make key`, which runs beside us. A new file each time: an old one keeps the mode that it has. */
async function writeSecret(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}

async function runEngine(variables: Record<string, string>): Promise<void> {
  if (stopped.signal.aborted) return;
  // In its own process group: Ctrl-C reaches us only, and we pass on one SIGTERM. When this process is killed,
  // the engine is too: none is left that would place calls beside the next one.
  const command = [process.execPath, join(root, 'engine/main.ts')];
  const engine = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = once(engine, 'exit');
  stopped.signal.addEventListener('abort', () => engine.kill('SIGTERM'), { once: true });
  const [code] = (await ended) as [number | null];
  process.exitCode = code ?? 1;
}
