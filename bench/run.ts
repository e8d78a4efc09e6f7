/**
 * Runs the benchmark: all figures, or those that are named.
 *
 *     node bench/run.ts [--quick] [--minutes 30] [--ways 'bare ARI loop,engine'] [--list] [figure ...]
 *
 * Prints a table and writes var/bench/<time>.json. Exits with 1 when a figure could not be measured; a goal
 * that is missed is shown and is no failure.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../local/table.ts';
import { contextFor, type Figures, isMet, type Row } from './figure.ts';
import { FIGURES } from './figures.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '30' },
    ways: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((name) => !FIGURES.some((figure) => figure.name === name));
if (unknown.length > 0 || values.list || !(Number(values.minutes) > 0)) {
  for (const { name, title } of FIGURES) process.stdout.write(`${name.padEnd(14)}${title}\n`);
  if (unknown.length > 0) process.stderr.write(`there is no figure ${unknown.join(', ')}\n`);
  process.exit(values.list ? 0 : 2);
}

const began = new Date();
const chosen = FIGURES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const results: Record<string, (Figures & { title: string; seconds: number }) | { error: string }> = {};
for (const figure of chosen) {
  const since = performance.now();
  process.stderr.write(`\n${figure.title}\n`);
  const context = contextFor(figure.name, {
    quick: values.quick,
    minutes: Number(values.minutes),
    ways: values.ways.split(',').filter((way) => way !== ''),
    say: (line) => process.stderr.write(`  ${line}\n`),
  });
  try {
    const figures = await figure.run(context);
    results[figure.name] = { title: figure.title, seconds: (performance.now() - since) / 1000, ...figures };
    process.stdout.write(`\n${figure.title}\n${table(figures.rows)}\n`);
    for (const note of figures.notes) process.stdout.write(`  - ${note}\n`);
  } catch (error) {
    results[figure.name] = { error: String(error) };
    process.stderr.write(`  ${figure.name} could not be measured: ${(error as Error).stack}\n`);
    process.exitCode = 1;
  }
}
const folder = resolve(import.meta.dirname, '../var/bench');
await mkdir(folder, { recursive: true });
const file = join(folder, `${began.toISOString().replaceAll(':', '-').slice(0, 19)}.json`);
const [cpu] = cpus();
const machine = { cpu: cpu?.model, cores: cpus().length, memoryGb: Math.round(totalmem() / 2 ** 30) };
await writeFile(file, `${JSON.stringify({ began, quick: values.quick, machine, results }, null, 2)}\n`);
process.stdout.write(
  `\n${machine.cores} cores of ${machine.cpu}, ${machine.memoryGb} GB, everything on this machine${values.quick ? '; SHORT runs, not the figures to quote' : ''}\n${file}\n`,
);

function table(rows: Row[]): string {
  return formatTable(
    ['', 'value', 'unit', 'goal', 'met', 'baseline'],
    rows.map((row) => [
      row.what,
      row.value,
      row.unit,
      row.goal === undefined ? '' : `${row.goal.at === 'least' ? '>=' : '<='} ${row.goal.value}`,
      { true: 'yes', false: 'NO', undefined: '' }[String(isMet(row))] ?? '',
      row.baseline === undefined ? '' : `${row.baseline.value} (${row.baseline.what})`,
    ]),
  );
}
