import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { one, rows } from '../../engine/store/db.ts';
import { createLeases } from '../../engine/store/leases.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const leases = createLeases(db);
const [A = '', B = '', C = ''] = Array.from({ length: 3 }, () => crypto.randomUUID());
const TAKE = { take: true, except: [] };

async function trunks(count: number): Promise<string[]> {
  await db.query('truncate trunks cascade');
  const made = await rows<{ id: string }>(
    db,
    `insert into trunks (name, host, max_channels, calls_per_second)
     select 't' || n, '192.0.2.1', 10, 10 from generate_series(1, $1::int) n returning id`,
    [count],
  );
  return made.map(({ id }) => id);
}
const expire = () => db.query(`update trunk_leases set expires_at = now() - interval '1 second'`);

t.test('one holder at a time, each with a higher fence', async (t) => {
  const [trunkId = ''] = await trunks(1);
  t.same(await leases.hold(A, 'a', 60_000, TAKE), [{ trunkId, fence: 1 }]);
  t.same(await leases.hold(B, 'b', 60_000, TAKE), [], 'it is taken');
  t.same(await leases.hold(A, 'a', 60_000, TAKE), [{ trunkId, fence: 1 }], 'renewed, with the same fence');
  await expire();
  t.same(await leases.hold(B, 'b', 60_000, TAKE), [{ trunkId, fence: 2 }], 'it ran out');
  t.same(await leases.hold(A, 'a', 60_000, TAKE), [], 'the first finds it lost');
  await leases.release(A, [trunkId]);
  t.same(await leases.hold(C, 'c', 60_000, TAKE), [], 'and cannot release what is not its own');
  await leases.release(B, [trunkId]);
  t.same(await leases.hold(C, 'c', 60_000, TAKE), [{ trunkId, fence: 3 }], 'released is free at once');
});

t.test('what ran out and nobody took is renewed', async (t) => {
  const [trunkId = ''] = await trunks(1);
  await leases.hold(A, 'a', 60_000, TAKE);
  await expire();
  t.same(await leases.hold(A, 'a', 60_000, TAKE), [{ trunkId, fence: 1 }]);
});

t.test('one that is going down takes nothing, and none takes what it shuns', async (t) => {
  const [first = '', second = ''] = await trunks(2);
  t.same(await leases.hold(A, 'a', 60_000, { take: false, except: [] }), []);
  t.same(await leases.hold(A, 'a', 60_000, { take: true, except: [first] }), [{ trunkId: second, fence: 1 }]);
});

t.test('a take-over waits for a claim that holds the lease', async (t) => {
  await trunks(1);
  await leases.hold(A, 'a', 60_000, TAKE);
  await expire();
  const claim = await db.connect();
  await claim.query('begin');
  await claim.query('select from trunk_leases for share');
  let taken = false;
  const taking = leases.hold(B, 'b', 60_000, TAKE).then(() => {
    taken = true;
  });
  for (let waits = false; !waits; await sleep(10))
    ({ waits } = await one<{ waits: boolean }>(
      db,
      `select exists (select from pg_locks where not granted) as waits`,
    ));
  t.notOk(taken);
  await claim.query('commit');
  claim.release();
  await taking;
});

t.test('never two holders, and fences only grow, in any interleaving', async () => {
  const step = fc.record({
    holder: fc.constantFrom(A, B, C),
    what: fc.constantFrom('hold', 'expire', 'release'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const ids = await trunks(2);
      const highest = new Map<string, { fence: number; holder: string }>();
      // Three at a time, as engines would.
      for (let from = 0; from < steps.length; from += 3) {
        const round = await Promise.all(
          steps.slice(from, from + 3).map(async ({ holder, what }) => {
            if (what === 'expire') await expire();
            else if (what === 'release') await leases.release(holder, ids);
            else return (await leases.hold(holder, 'x', 60_000, TAKE)).map((lease) => ({ ...lease, holder }));
            return [];
          }),
        );
        for (const { trunkId, fence, holder } of round.flat()) {
          const last = highest.get(trunkId);
          if (last !== undefined && last.fence === fence && last.holder !== holder) return false;
          if (last === undefined || fence > last.fence) highest.set(trunkId, { fence, holder });
        }
      }
      return true;
    }),
    { numRuns: 30 },
  );
});
