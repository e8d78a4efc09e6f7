/** The benchmark still runs: its first figure, far too small to mean anything. */
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import t from 'tap';
import { mixedPeople } from '../../bench/roster.ts';
import { CASES, measureCase } from '../../bench/utilisation.ts';

t.test('trunk utilisation of a handful of calls', async (t) => {
  const dir = resolve(import.meta.dirname, '../../var/test', `bench-${process.pid}`);
  const [mixed] = CASES.filter(({ name }) => name.startsWith('mixed'));
  if (mixed === undefined) throw new Error('there is no mixed case');
  const small = {
    ...mixed,
    text: 'Good day.',
    policy: { ...mixed.policy, retryDelaySeconds: 1, maxTries: 2 },
  };
  const found = await measureCase(dir, small, mixedPeople(20));
  t.equal(found.attempts, 20 + 8, 'who was busy or did not answer was called again');
  t.ok(found.share > 0.3 && found.share <= 1, `${found.share} of the ideal`);
  t.ok(found.worstSecond <= small.caps.callsPerSecond);
  await rm(dir, { recursive: true, force: true });
});
