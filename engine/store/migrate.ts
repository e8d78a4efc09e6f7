import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { RollcallError } from '../errors.ts';
import { type Database, withConnection } from './db.ts';

/** Any constant: two engines that start at once take turns on it. */
const MIGRATION_LOCK = 7_655_225;

/**
 * Applies the migrations of `directory` that are missing, in order, each in its own transaction, under an
 * advisory lock. Files are `0001_name.sql`, numbered without a gap, and are never edited once released.
 * Returns the names applied.
 *
 * Throws SCHEMA_TOO_NEW when the database has a migration that this engine does not know.
 */
export async function migrate(db: Database, directory: string): Promise<string[]> {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  files.forEach((name, index) => {
    if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name) || Number(name.slice(0, 4)) !== index + 1) {
      throw new RollcallError(
        'INTERNAL',
        `migration ${name} is misnamed: expected number ${index + 1} as 0000_name.sql`,
      );
    }
  });
  return withConnection(db, async (client, giveUp) => {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    try {
      return await applyMissing(client, directory, files);
    } finally {
      // Closing the connection also gives back the lock, if the unlock itself cannot be sent.
      await client.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(giveUp);
    }
  });
}

async function applyMissing(client: pg.PoolClient, directory: string, files: string[]): Promise<string[]> {
  await client.query(`create table if not exists schema_migrations (
    name text primary key, applied_at timestamptz not null default now())`);
  const { rows } = await client.query<{ name: string }>('select name from schema_migrations order by name');
  const unknown = rows.filter(({ name }) => !files.includes(name));
  if (unknown.length > 0) {
    throw new RollcallError(
      'SCHEMA_TOO_NEW',
      `the database has migration ${unknown[0]?.name}, which this version does not know: ` +
        'start the newer Rollcall, or restore the backup made before the upgrade',
    );
  }
  const missing = files.filter((name) => !rows.some((row) => row.name === name));
  for (const name of missing) {
    const sql = await readFile(join(directory, name), 'utf8');
    await client.query('begin');
    try {
      await client.query(sql);
      await client.query('insert into schema_migrations (name) values ($1)', [name]);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw new RollcallError('INTERNAL', `migration ${name} failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return missing;
}
