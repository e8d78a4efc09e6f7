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
  { max = 10, onError, application = 'rollcall', queryTimeoutMs, keepPlans = false }: DatabaseOptions,
): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    types,
    application_name: application,
    connectionTimeoutMillis: 5_000,
    // A statement of ours that takes a minute is broken; retention and audiences stay far below.
    // It ends before we give up the answer: what is committed after that would be found only later.
    statement_timeout: queryTimeoutMs === undefined ? 60_000 : queryTimeoutMs * 0.8,
    ...(queryTimeoutMs === undefined ? {} : { query_timeout: queryTimeoutMs }),
    keepAlive: true,
    // PostgreSQL keeps plans per connection, those of foreign keys for as long as the table is not analysed. One
    // made while `calls` was empty scans the table; with a million calls in it, that was 4 s per claim.
    options: `-c enable_seqscan=off${keepPlans ? ' -c plan_cache_mode=force_generic_plan' : ''}`,
  });
  pool.on('error', onError);
  return pool;
}

export interface DatabaseOptions {
  max?: number;
  application?: string;
  /**
   * After this long without an answer a statement fails, as transient: a server that is cut off answers
   * nothing, for as long as TCP hopes. Without it only the server's own limit holds.
   */
  queryTimeoutMs?: number;
  /**
   * Plans of prepared statements are made once, not for each set of values: for a connection that runs few
   * statements very often, planning was four fifths of their cost.
   */
  keepPlans?: boolean;
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

/** A statement that each connection parses once, by name, and of which PostgreSQL may keep the plan. */
export interface Prepared {
  name: string;
  text: string;
}

/** As {@link rows}, for what runs many times a second: parsing and planning cost more than a short statement. */
export async function preparedRows<R extends pg.QueryResultRow>(
  db: Queryable,
  statement: Prepared,
  values: unknown[] = [],
): Promise<R[]> {
  return (await db.query<R>({ ...statement, values })).rows;
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

/**
 * SQLSTATE classes after which the same statement may succeed: connection, transaction state, authorization and
 * catalog (a password or a database that is being changed), rollback (deadlock), resources, object in use,
 * operator intervention (shutdown), system errors.
 */
const TRANSIENT_CLASSES = new Set(['08', '25', '28', '3D', '40', '53', '55', '57', '58']);

/**
 * True when the database could not be reached, went away or was in trouble, so the same statement may succeed
 * later. One that failed this way may or may not have been committed.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return TRANSIENT_CLASSES.has(code.slice(0, 2));
  // ECONNREFUSED, ENOTFOUND, EAI_AGAIN and their like; ERR_… are Node's own for wrong arguments.
  if (typeof code === 'string') return /^E(?!RR_)[A-Z_]+$/.test(code);
  return /Connection terminated|timeout|Client has encountered a connection error/i.test(error.message);
}
