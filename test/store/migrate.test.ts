import { copyFile, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { rows } from '../../engine/store/db.ts';
import { migrate } from '../../engine/store/migrate.ts';
import { testDatabase } from '../support/database.ts';

const { db } = await testDatabase(t);
const directory = resolve(import.meta.dirname, '../../migrations');

t.test('a migrated database is left as it is', async (t) => {
  t.same(await migrate(db, directory), []);
});

t.test('engines that start at once take turns', async (t) => {
  await db.query('drop schema public cascade; create schema public');
  const applied = await Promise.all([migrate(db, directory), migrate(db, directory), migrate(db, directory)]);
  t.equal(applied.filter((names) => names.length > 0).length, 1);
});

t.test('a database from a newer version is refused', async (t) => {
  await db.query(`insert into schema_migrations (name) values ('9999_future.sql')`);
  await t.rejects(migrate(db, directory), { code: 'SCHEMA_TOO_NEW' });
  await db.query(`delete from schema_migrations where name = '9999_future.sql'`);
});

t.test(
  'a trunk of a file of Asterisk is kept, paused until its host is set, and caller IDs in use are proven',
  async (t) => {
    await db.query('drop schema public cascade; create schema public');
    const before = await mkdtemp(join(tmpdir(), 'migrations-'));
    for (const name of (await readdir(directory)).filter((file) => file < '0005'))
      await copyFile(join(directory, name), join(before, name));
    await migrate(db, before);
    await db.query(`
    insert into sites (code, name, level, caller_id) values ('S1', 'One', 'high', '+17205550111');
    insert into trunks (name, endpoint, max_channels, calls_per_second, caller_id)
      values ('north', 'the_north', 5, 1, '+17205550111'), ('south', 'south', 5, 1, '+17205550112')`);
    await migrate(db, directory);
    t.match(await rows(db, 'select name, host, auth, state, state_reason from trunks order by name'), [
      { name: 'north', host: 'the_north', auth: 'ip', state: 'paused', state_reason: /set host and port/ },
      { name: 'south', host: 'south', state: 'paused' },
    ]);
    t.match(await rows(db, 'select phone, proof from caller_ids order by phone'), [
      { phone: '+17205550111', proof: /replace this/ },
      { phone: '+17205550112' },
    ]);
  },
);

t.test('a failing migration leaves nothing behind and says which it was', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  await writeFile(join(folder, '0001_good.sql'), 'create table good (x int)');
  await writeFile(join(folder, '0002_bad.sql'), 'create table half (x int); create tabel typo');
  await db.query('drop schema public cascade; create schema public');
  await t.rejects(migrate(db, folder), { message: /0002_bad\.sql/ });
  const tables = await rows<{ name: string }>(
    db,
    `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
  );
  t.same(
    tables.map(({ name }) => name),
    ['good', 'schema_migrations'],
  );
});
