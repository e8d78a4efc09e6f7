import t from 'tap';
import { inTransaction, isTransient, one } from '../../engine/store/db.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);

t.test('a transaction is all or nothing', async (t) => {
  await db.query('create table things (x int)');
  await t.rejects(
    inTransaction(db, async (tx) => {
      await tx.query('insert into things values (1)');
      throw new Error('no');
    }),
    { message: 'no' },
  );
  t.same(await one(db, 'select count(*) as n from things'), { n: 0 });
});

t.test('a server that ends the connection fails the transaction, not the process', async (t) => {
  const failed = inTransaction(db, async (tx) => {
    const { pid } = await one<{ pid: number }>(tx, 'select pg_backend_pid() as pid');
    await db.query('select pg_terminate_backend($1)', [pid]);
    await tx.query('select 1');
  });
  const error = await failed.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  t.ok(isTransient(error), 'and is known as a lost connection');
  t.same(await one(db, 'select 1 as x'), { x: 1 }, 'the pool goes on');
});
