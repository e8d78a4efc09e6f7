/**
 * `make serve`: the engine for real use on this machine, until Ctrl-C. PostgreSQL is the embedded one unless
 * DATABASE_URL is set, Asterisk the unpacked one unless ARI_URL is set. Variables come from the environment
 * or from `.env`, as .env.example explains them.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startAsterisk } from './asterisk.ts';
import { startPostgres } from './postgres.ts';
import { startPhase } from './progress.ts';

const root = resolve(import.meta.dirname, '..');
const dir = join(root, 'var/serve');

if (existsSync(join(root, '.env'))) process.loadEnvFile(join(root, '.env'));
const given = (name: string, fallback: string): string => process.env[name] || fallback;

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());

const started: (() => Promise<void>)[] = [];
try {
  const env = await startParts();
  await runEngine(env);
} finally {
  for (const end of started.reverse()) await end();
}

/** Starts what is not given by the environment; returns the engine's variables. */
async function startParts(): Promise<Record<string, string>> {
  const phase = startPhase('Starting');
  const soundsDir = given('SOUNDS_DIR', join(dir, 'sounds'));
  const trunksDir = join(dir, 'trunks');
  for (const folder of [soundsDir, trunksDir]) await mkdir(folder, { recursive: true });

  let databaseUrl = given('DATABASE_URL', '');
  if (databaseUrl === '') {
    phase.update('PostgreSQL');
    const postgres = await startPostgres({
      dataDir: join(dir, 'postgres'),
      port: Number(given('POSTGRES_PORT', '5433')),
    });
    started.push(() => postgres.stop());
    await postgres.createDatabase('rollcall');
    databaseUrl = postgres.urlOf('rollcall');
  }
  const env: Record<string, string> = {
    ...definedEnvironment(),
    DATABASE_URL: databaseUrl,
    SOUNDS_DIR: soundsDir,
  };
  if (given('ARI_URL', '') === '') {
    const sipCaptureAddress = given('SIP_CAPTURE_LISTEN', '127.0.0.1:9060');
    phase.update('Asterisk');
    const ariPort = Number(given('ARI_PORT', '8088'));
    const ariPassword = given('ARI_PASSWORD', randomBytes(18).toString('base64url'));
    const ariUser = given('ARI_USER', 'rollcall');
    const asterisk = await startAsterisk({
      rootDir: join(root, 'var/asterisk-root'),
      runDir: join(dir, 'asterisk'),
      sipHost: given('SIP_BIND', '0.0.0.0'),
      sipPort: Number(given('SIP_PORT', '5060')),
      ariPort,
      rtpStart: Number(given('RTP_START', '10000')),
      rtpEnd: Number(given('RTP_END', '20000')),
      externalAddress: given('EXTERNAL_ADDRESS', ''),
      localNetwork: given('LOCAL_NETWORK', ''),
      sipCaptureAddress,
      ariUser,
      ariPassword,
      trunks: [],
      trunksDir,
      reads: [soundsDir, trunksDir],
    });
    started.push(() => asterisk.stop());
    Object.assign(env, {
      ARI_URL: `http://127.0.0.1:${ariPort}`,
      ARI_USER: ariUser,
      ARI_PASSWORD: ariPassword,
    });
  }
  // For `make key`, which runs beside us.
  await writeFile(join(dir, 'engine.json'), JSON.stringify(env), { mode: 0o600 });
  phase.done('ready; the engine follows, its log is below');
  process.stdout.write(
    `  Trunk files           ${trunksDir} (docs/operations.md)\n` +
      `  API documentation     http://127.0.0.1:${given('HTTP_PORT', '8080')}/docs\n` +
      '  A first API key       make key NAME=office ROLE=administrator\n\n',
  );
  return env;
}

async function runEngine(env: Record<string, string>): Promise<void> {
  if (stopped.signal.aborted) return;
  // In its own process group: Ctrl-C reaches us only, and we pass on one SIGTERM.
  const engine = spawn(process.execPath, [join(root, 'engine/main.ts')], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = once(engine, 'exit');
  stopped.signal.addEventListener('abort', () => engine.kill('SIGTERM'), { once: true });
  const [code] = (await ended) as [number | null];
  process.exitCode = code ?? 1;
}

function definedEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}
