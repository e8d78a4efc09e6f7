/**
 * `make chaos`: see README.md. SEED, FAULTS and CALLS are taken from the environment; the same seed gives the same
 * phones and faults. Ends with 0 when every rule held.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runChaos } from './chaos.ts';
import { enginesOf } from './engines.ts';
import { failureLines, planLines, summaryLines } from './print.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);
const setting = (name: string, fallback: number): number => {
  const value = Number(process.env[name] || fallback);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`${name} must be a whole number above 0`);
};

const seed = setting('SEED', (Date.now() % 1_000_000) + 1);
const dir = join(resolve(import.meta.dirname, '../..'), 'var/chaos', String(seed));
const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => stopped.abort(new Error('stopped on request')));

await rm(dir, { recursive: true, force: true });
await mkdir(dir, { recursive: true });
const began = performance.now();
print(`chaos with SEED=${seed}; logs are in ${dir}`);
const result = await runChaos({
  seed,
  dir,
  faults: setting('FAULTS', 50),
  calls: setting('CALLS', 2_000),
  nodes: setting('NODES', 2),
  engines: enginesOf(setting('DIALERS', 2)),
  meanGapMs: setting('GAP_MS', 4_000),
  limitMs: 900_000,
  say: (line) => print(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`),
  signal: stopped.signal,
});
print('');
for (const line of summaryLines(result)) print(line);
if (result.violations.length > 0) {
  print(`\nThe plan of SEED=${seed}:`);
  for (const line of planLines(result.plan)) print(line);
  for (const line of failureLines(result)) print(line);
  print(`\n${result.violations.length} violations with SEED=${seed}; logs are in ${dir}`);
  process.exitCode = 1;
} else {
  print('\nEvery rule held.');
  await rm(dir, { recursive: true, force: true });
}
