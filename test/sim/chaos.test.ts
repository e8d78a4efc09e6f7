/** A short chaos run with a fixed seed; `make chaos` is the long one. See test/chaos/README.md. */
import { mkdir, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import t from 'tap';
import { runChaos } from '../chaos/chaos.ts';
import { enginesOf } from '../chaos/engines.ts';
import { failureLines, planLines, summaryLines } from '../chaos/print.ts';

const SEED = 778;
const dir = resolve(import.meta.dirname, '../../var/test', `chaos-${process.pid}`);

t.test(`faults of the seed ${SEED} break no rule`, async (t) => {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const result = await runChaos({
    seed: SEED,
    dir,
    faults: 16,
    calls: 300,
    nodes: 2,
    engines: enginesOf(2),
    meanGapMs: 2_000,
    limitMs: 150_000,
    say: () => undefined,
    signal: new AbortController().signal,
  });
  for (const line of summaryLines(result)) t.comment(line);
  t.equal(result.done.length, result.plan.length, 'every planned fault happened');
  const found = result.violations.map(({ what, phone = '' }) => `${phone} ${what}`);
  t.same(found, [], 'the ledger and the carriers agree');
  if (found.length > 0)
    for (const line of [...planLines(result.plan), ...failureLines(result)]) t.comment(line);
  else await rm(dir, { recursive: true, force: true });
});
