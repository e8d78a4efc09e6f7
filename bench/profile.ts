/**
 * A CPU profile of the engine, and the statements that it costs Postgres, at a steady rate.
 *
 *     node bench/profile.ts [--rate 50] [--seconds 20] [--level info]
 *
 * Prints the functions and modules with the most time of their own, and per call what the engine asks of others.
 * The profile itself is left in var/bench/profile.cpuprofile, for Chrome's or VS Code's viewer.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { freePorts } from '../local/ports.ts';
import { formatTable } from '../local/table.ts';
import { measureCpu } from './measure/processes.ts';
import { moduleOf, type SelfTime, selfTimes, startProfile } from './measure/profiler.ts';
import { costliestStatements, resetStatements } from './measure/statements.ts';
import { round } from './measure/stats.ts';
import { verdictOf } from './measure/verdict.ts';
import { messageMsOf, people, prepared, runBroadcast } from './roster.ts';
import { startBench } from './stack.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '20' },
    level: { type: 'string', default: 'info' },
  },
});
const rate = Number(values.rate);
const calls = rate * Number(values.seconds);
const folder = resolve(import.meta.dirname, '../var/bench');
await mkdir(folder, { recursive: true });
const [inspectPort = 0] = await freePorts(1);
const bench = await startBench({
  dir: join(folder, 'run/profile'),
  caps: { maxChannels: 10_000, callsPerSecond: rate },
  statements: true,
  inspectPort,
  env: { LOG_LEVEL: values.level },
});
try {
  const id = await prepared(bench, people(calls), 'Classes begin again tomorrow.');
  const messageMs = await messageMsOf(bench, id);
  await resetStatements(bench.db);
  const logFile = join(bench.dir, 'engine.log');
  const linesBefore = await countLines(logFile);
  const stopProfile = await startProfile(inspectPort);
  const used = await measureCpu(bench.pids);
  await runBroadcast(bench, id, 120_000);
  const cpu = await used();
  const profile = await stopProfile();
  await writeFile(join(folder, 'profile.cpuprofile'), JSON.stringify(profile));
  const verdict = verdictOf((await bench.carrier?.calls()) ?? [], messageMs);

  print(
    `${calls} calls, ${verdict.rate} a second, ${verdict.good} as expected; CPU in ms per call (the profiler's own included):`,
  );
  print(
    Object.entries(cpu)
      .map(([name, value]) => `  ${name} ${round((value / calls) * 1000)}`)
      .join('\n'),
  );
  print(`log lines per call: ${round(((await countLines(logFile)) - linesBefore) / calls)}`);
  print(
    `\n${times('functions', selfTimes(profile), 45)}\n\n${times('modules', selfTimes(profile, moduleOf), 40)}`,
  );
  const statements = await costliestStatements(bench.db, 14);
  print(
    `\n${formatTable(
      ['statement', 'per call', 'rows/run', 'ms/run', 'plan ms', 'ms/call'],
      statements.map(({ text, runs, rows, meanMs, planMs, totalMs }) => [
        text,
        round(runs / calls, 3),
        round(rows / runs, 1),
        meanMs,
        planMs,
        round(totalMs / calls, 3),
      ]),
    )}`,
  );
} finally {
  await bench.stop();
}

function times(what: string, list: SelfTime[], count: number): string {
  return formatTable(
    [what, 'ms/call', '%'],
    list
      .slice(0, count)
      .map(({ where, milliseconds, share }) => [
        where,
        round(milliseconds / calls, 3),
        round(share * 100, 1),
      ]),
  );
}

async function countLines(file: string): Promise<number> {
  return (await readFile(file, 'utf8')).split('\n').length;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
