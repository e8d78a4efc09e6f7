import pg from 'pg';
import { RollcallError } from '../errors.ts';

/** A pool, or one connection of it inside a transaction. */
export type Queryable = Pick<pg.Pool, 'query'>;
export type Database = pg.Pool;

// The driver's defaults would make a `date` a Date at the process's own midnight, and numbers strings.
const parsers: Record<number, (value: string) => unknown> = {
  [pg.types.builtins.DATE]: (value) => value,
  [pg.types.builtins.INT8]: Number,
  [pg.types.builtins.NUMERIC]: Number,
};
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    parsers[oid] ?? pg.types.getTypeParser(oid, format),
} as pg.CustomTypesConfig;

/**
 * Opens a pool of at most `max` connections. `onError` hears of idle connections that broke (a restarted
 * server); the pool replaces them by itself.
 */
export function openDatabase(
  url: string,
  { max = 10, onError, application = 'rollcall' }: DatabaseOptions,
): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    types,
    application_name: application,
    connectionTimeoutMillis: 5_000,
    // A statement of ours that takes a minute is broken; retention and audiences stay far below.
    statement_timeout: 60_000,
  });
  pool.on('error', onError);
  return pool;
}

export interface DatabaseOptions {
  max?: number;
  application?: string;
  onError: (error: Error) => void;
}

/**
 * Lends one connection to `work`. One that broke in the meantime, or that `work` gave up, is closed and not
 * returned to the pool.
 */
export async function withConnection<T>(
  db: Database,
  work: (client: pg.PoolClient, giveUp: (error: Error) => void) => Promise<T>,
): Promise<T> {
  const client = await db.connect();
  let broken: Error | undefined;
  // A server that goes away also tells the connection itself, which would end the process unheard; the
  // statement under way fails, and says so.
  const giveUp = (error: Error) => {
    broken = error;
  };
  client.on('error', giveUp);
  try {
    return await work(client, giveUp);
  } finally {
    client.off('error', giveUp);
    client.release(broken);
  }
}

/** Runs `work` in one transaction; rolls back and rethrows when it throws. */
export function inTransaction<T>(db: Database, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  return withConnection(db, async (client, giveUp) => {
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(giveUp);
      throw error;
    }
  });
}

/** The rows of a query. */
export async function rows<R extends pg.QueryResultRow>(
  db: Queryable,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  return (await db.query<R>(text, values)).rows;
}

/** The one row of a query, or undefined. */
export async function maybeOne<R extends pg.QueryResultRow>(
  db: Queryable,
  text: string,
  values: unknown[] = [],
): Promise<R | undefined> {
  return (await rows<R>(db, text, values))[0];
}

/** The one row of a query that always gives one. */
export async function one<R extends pg.QueryResultRow>(
  db: Queryable,
  text: string,
  values: unknown[] = [],
): Promise<R> {
  const row = await maybeOne<R>(db, text, values);
  if (row === undefined)
    throw new RollcallError('INTERNAL', 'a statement that must return a row returned none');
  return row;
}

const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOENT',
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '08000',
  '08003',
  '08006',
  '53300', // too_many_connections
]);

/**
 * True when the database could not be reached or went away, so the same statement may succeed later. A
 * statement that failed this way may or may not have been committed.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: string };
  if (code !== undefined) return CONNECTION_CODES.has(code);
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
    error.message,
  );
}
