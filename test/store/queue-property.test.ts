/** Dialers, carriers, people and clocks at once, in any order: what must hold for all of them. */
import fc from 'fast-check';
import t from 'tap';
import type { AttemptEnd, Claim } from '../../engine/domain/ledger.ts';
import { actOnBroadcast } from '../../engine/store/broadcasts.ts';
import { isTransient, one, rows } from '../../engine/store/db.ts';
import { createLedger } from '../../engine/store/ledger.ts';
import { testDatabase } from '../support/database.ts';
import { addBroadcast, addTrunk, claimer, emptyQueue, endOf, NEVER_SENT } from '../support/queue.ts';

const { db } = await testDatabase(t);
const ledger = createLedger(db);
const claim = claimer(db);
const DAILY_CAP = 3;

/** How a carrier or a person may end a call. */
const ENDINGS: Partial<AttemptEnd>[] = [
  { outcome: 'heard', heard: 'full', heardMs: 8000 },
  { outcome: 'busy', retryInMs: 0 },
  { outcome: 'no_answer', retryInMs: 1 },
  { outcome: 'bad_number' },
  { outcome: 'trunk_failure', counted: 'trunk_failure', retryInMs: 1, reroute: true },
  { outcome: 'barred', counted: 'nothing', reroute: true },
  NEVER_SENT,
];

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('claim'),
      trunk: fc.nat(1),
      limit: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end'),
      count: fc.integer({ min: 1, max: 8 }),
      how: fc.nat(ENDINGS.length - 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause', 'resume'), broadcast: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('takeOver'), trunk: fc.nat(1) }) },
) as fc.Arbitrary<{
  do: string;
  trunk?: number;
  limit?: number;
  count?: number;
  how?: number;
  broadcast?: number;
}>;

const count = async (query: string): Promise<number> =>
  (await one<{ n: number }>(db, `select count(*)::int as n ${query}`)).n;

/** What must hold at every moment. */
async function check(dailyCap = DAILY_CAP): Promise<void> {
  const rung = await rows(
    db,
    `select phone from attempts where state <> 'ended' group by phone having count(*) > 1`,
  );
  if (rung.length > 0) throw new Error('a phone is in two calls at once');
  const over = await rows(
    db,
    `select attempts.phone from attempts join calls on calls.id = call_id join broadcasts on broadcasts.id = broadcast_id
     where urgency > 1 and (attempts.state <> 'ended' or attempts.outcome not in ('trunk_failure', 'barred', 'interrupted'))
     group by 1 having count(*) > ${dailyCap}`,
  );
  if (over.length > 0) throw new Error('a phone is over its cap');
  if (
    (await count(
      `from calls where (state = 'dialing') <> exists (select from attempts where call_id = calls.id and state <> 'ended')`,
    )) > 0
  )
    throw new Error('a call is dialling without an attempt, or the other way round');
  if (
    (await count(
      `from phones where calls < 0 or (busy_until > now()) <> exists (select from attempts where phone = phones.phone and state <> 'ended')`,
    )) > 0
  )
    throw new Error('a phone is busy without an attempt, or the other way round');
}

/** What happened before may have gone wrong as any statement may; then it is done again, as the dialer does. */
async function again(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }
}

t.test('no phone twice at once, no cap passed, every call ends once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 12 }),
      async (rounds) => {
        await emptyQueue(db);
        const trunks = [await addTrunk(db, 'one'), await addTrunk(db, 'two')];
        const fences = [1, 1];
        // The same phones in each: they meet in all of them.
        const broadcasts = [
          await addBroadcast(db, { calls: 6, category: 'emergency' }),
          await addBroadcast(db, { calls: 8, category: 'attendance' }),
          await addBroadcast(db, { calls: 8, category: 'general' }),
        ];
        for (let index = 0; index < 3; index += 1)
          broadcasts.push(await addBroadcast(db, { calls: 4, category: 'survey' }));
        const open: Claim[] = [];
        const perform = async (each: (typeof rounds)[number][number]): Promise<void> => {
          const index = each.trunk ?? 0;
          const trunk = trunks[index] ?? '';
          switch (each.do) {
            case 'claim':
              return void open.push(
                ...(await claim(trunk, each.limit ?? 1, { fence: fences[index] ?? 0, dailyCap: DAILY_CAP })),
              );
            case 'end': {
              const ended = open.splice(0, each.count);
              const ends = ended.map(({ attemptId, trunkId }) =>
                endOf({ attemptId, fence: fences[trunks.indexOf(trunkId)] ?? 0 }, ENDINGS[each.how ?? 0]),
              );
              return again(() => ledger.endAttempts(ends));
            }
            case 'settle':
              return again(() => ledger.settle());
            case 'takeOver': {
              const fence = (fences[index] ?? 0) + 1;
              await db.query('update trunk_leases set fence = $2 where trunk_id = $1', [trunk, fence]);
              await ledger.adoptAttempts(trunk, fence);
              fences[index] = fence;
              return;
            }
            default:
              return void (await actOnBroadcast(
                db,
                broadcasts[each.broadcast ?? 0] ?? '',
                each.do as 'pause',
              ).catch(() => undefined));
          }
        };
        for (const round of rounds) {
          await Promise.all(round.map(perform));
          await check();
        }
        // To its end: all is resumed, what waits is due, the cap is lifted (near midnight its calls wait for the
        // next day), and every call is busy.
        await db.query(`update broadcasts set state = 'running' where state = 'paused'`);
        for (let turn = 0; turn < 60 && (await count(`from calls where state <> 'done'`)) > 0; turn += 1) {
          for (const trunk of trunks)
            for (const attempt of await ledger.openAttempts(trunk))
              await ledger.endAttempts([endOf(attempt)]);
          await db.query(`update calls set due_at = now() where state = 'waiting'`);
          await ledger.settle();
          for (const [index, trunk] of trunks.entries())
            await claim(trunk, 6, { fence: fences[index] ?? 0, dailyCap: 1_000 });
          await check(1_000);
        }
        if ((await count(`from calls where state <> 'done'`)) > 0) throw new Error('a call has no end');
        await ledger.settle();
        if ((await count(`from broadcasts where finished_at is null`)) > 0)
          throw new Error('a broadcast stays open');
      },
    ),
    { numRuns: 25, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  );
});
