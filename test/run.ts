/**
 * Runs test files: starts one PostgreSQL for all of them, prepares the template database, runs each file, and
 * prints `N passed, N failed` as its last line. Arguments are files; without any, all tests run.
 *
 * The tests are tap's; its own command line is not used, because it builds itself anew inside node_modules for
 * its plugins, and two of them at once leave it broken.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openDatabase } from '../engine/store/db.ts';
import { migrate } from '../engine/store/migrate.ts';
import { freePorts } from '../local/ports.ts';
import { startPostgres } from '../local/postgres.ts';

const root = resolve(import.meta.dirname, '..');
/** The longest file takes some four minutes. */
const FILE_LIMIT_MS = 10 * 60_000;
const dataDir = resolve(root, 'var/test', `postgres-${process.pid}`);
const [port] = await freePorts(1);
const postgres = await startPostgres({
  dataDir,
  port: port as number,
  // Nothing here outlives the run; crash tests use a server of their own.
  settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' },
});
const testFiles = (await readdir(resolve(root, 'test'), { recursive: true }))
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`)
  .sort();
const simulations = testFiles.filter((name) => name.startsWith('test/sim/'));
const others = testFiles.filter((name) => !simulations.includes(name));
let passed = 0;
let failed = 0;
try {
  await postgres.createDatabase('rollcall_template');
  const db = openDatabase(postgres.urlOf('rollcall_template'), {
    onError: (error) => process.stderr.write(`${error.message}\n`),
  });
  await migrate(db, resolve(root, 'migrations'));
  await db.end();

  const files = process.argv.slice(2);
  if (files.length > 0) await runFiles(files, 1);
  else {
    await runFiles(others, 2);
    // The simulations measure time, so each has the machine to itself.
    await runFiles(simulations, 1);
  }
} finally {
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
  for (const suffix of ['.log', '.password']) await rm(`${dataDir}${suffix}`, { force: true });
}
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

/** Runs `jobs` files at a time; one that fails is shown whole, the others in a line. */
async function runFiles(names: string[], jobs: number): Promise<void> {
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await runFile(name);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** Each file is a program that prints TAP and ends it with a summary: `# { total: 12, pass: 11, fail: 1 }`. */
async function runFile(name: string): Promise<void> {
  const began = Date.now();
  const child = spawn(process.execPath, [resolve(root, name)], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TAP_TIMEOUT: '0', TEST_DATABASE_URL: postgres.urlOf('postgres') },
  });
  const stop = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const timer = setTimeout(stop, FILE_LIMIT_MS, 'SIGKILL');
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(timer);
  process.off('SIGINT', stop).off('SIGTERM', stop);

  const summary = /^# \{[^}]*\}$/m.exec(output)?.[0] ?? '';
  const count = (word: string) => Number(new RegExp(`\\b${word}: (\\d+)`).exec(summary)?.[1] ?? 0);
  const well = status === 0 && count('pass') > 0 && count('fail') + count('skip') + count('todo') === 0;
  passed += count('pass');
  // A file that could not even run has failed, whatever it counted.
  failed += well ? 0 : Math.max(1, count('fail'));
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  const comments = output.split('\n').filter((line) => /^ {4,}# (?!Subtest)/.test(line));
  process.stdout.write(
    well
      ? `ok      ${name}: ${count('pass')} passed in ${seconds} s\n${comments.map((line) => `          ${line.trim()}\n`).join('')}`
      : `${output}\nFAILED  ${name} in ${seconds} s (${signal ?? `exit code ${status}`})\n`,
  );
}
