import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Test } from 'tap';
import { type Database, openDatabase } from '../../engine/store/db.ts';

/**
 * A database of its own for one test file, cloned from the migrated template that `test/run.ts` made, and
 * dropped when the file's tests are over.
 */
export async function testDatabase(t: Test): Promise<{ db: Database; url: string }> {
  const serverUrl = process.env.TEST_DATABASE_URL;
  if (serverUrl === undefined) throw new Error('run tests by `make test` or `node test/run.ts FILE`');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(serverUrl, `create database ${name} template rollcall_template`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const db = openDatabase(url.href, {
    max: 8,
    onError: (error) => t.comment(`idle connection: ${error.message}`),
  });
  t.teardown(async () => {
    await db.end();
    await onServer(serverUrl, `drop database ${name} with (force)`);
  });
  return { db, url: url.href };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
