/**
 * Runs test files: starts one PostgreSQL for all of them, prepares the template database, hands over to tap,
 * and prints `N passed, N failed` as its last line. Arguments are files or options for tap; without any, all
 * tests run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openDatabase } from '../engine/store/db.ts';
import { migrate } from '../engine/store/migrate.ts';
import { freePorts } from '../local/ports.ts';
import { startPostgres } from '../local/postgres.ts';

const root = resolve(import.meta.dirname, '..');
const dataDir = resolve(root, 'var/test', `postgres-${process.pid}`);
const [port] = await freePorts(1);
const postgres = await startPostgres({
  dataDir,
  port: port as number,
  // Nothing here outlives the run; crash tests use a server of their own.
  settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
});
let status = 1;
let output = '';
try {
  await postgres.createDatabase('rollcall_template');
  const db = openDatabase(postgres.urlOf('rollcall_template'), {
    onError: (error) => process.stderr.write(`${error.message}\n`),
  });
  await migrate(db, resolve(root, 'migrations'));
  await db.end();

  const tap = spawn(resolve(root, 'node_modules/.bin/tap'), ['--reporter=tap', ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TEST_DATABASE_URL: postgres.urlOf('postgres') },
  });
  const stop = (signal: NodeJS.Signals) => tap.kill(signal);
  process.on('SIGINT', stop).on('SIGTERM', stop);
  tap.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    process.stdout.write(chunk);
    output = (output + chunk).slice(-4_096);
  });
  [status] = (await once(tap, 'close')) as [number | null] as [number];
} finally {
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
  for (const suffix of ['.log', '.password']) await rm(`${dataDir}${suffix}`, { force: true });
}
// tap's own summary: # { total: 12, pass: 11, fail: 1 }
const count = (word: string) => Number(new RegExp(`# \\{[^}]*\\b${word}: (\\d+)`).exec(output)?.[1] ?? 0);
const failed = count('fail') + (status !== 0 && count('fail') === 0 ? 1 : 0);
process.stdout.write(`\n${count('pass')} passed, ${failed} failed\n`);
process.exitCode = status === 0 && count('pass') > 0 ? 0 : 1;
