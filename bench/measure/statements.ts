import type { Database } from '../../engine/store/db.ts';

export interface StatementCost {
  text: string;
  runs: number;
  rows: number;
  /** Of one execution, and of one planning, which is most of it where a text is parsed anew each time. */
  meanMs: number;
  planMs: number;
  totalMs: number;
}

/** Makes the statistics of statements readable and forgets what came before; needs the server setting. */
export async function resetStatements(db: Database): Promise<void> {
  await db.query('create extension if not exists pg_stat_statements');
  await db.query('select pg_stat_statements_reset()');
}

/** The statements that took most time in the server, planning included. */
export async function costliestStatements(db: Database, count: number): Promise<StatementCost[]> {
  const { rows } = await db.query<StatementCost>(
    `select left(regexp_replace(query, '\\s+', ' ', 'g'), 110) as text, calls::int as runs, rows::int,
       round(mean_exec_time::numeric, 3)::float8 as "meanMs",
       round(mean_plan_time::numeric, 3)::float8 as "planMs",
       round((total_exec_time + total_plan_time)::numeric, 1)::float8 as "totalMs"
     from pg_stat_statements order by total_exec_time + total_plan_time desc limit $1`,
    [count],
  );
  return rows;
}
