import type { ImportKind } from '../domain/roster.ts';
import { maybeOne, one, type Queryable, rows } from './db.ts';

/** What was wrong at a place in a file. `line` is an editor's; `column` is null for the row as a whole. */
export interface Rejection {
  file: string;
  line: number;
  column: string | null;
  reason: string;
}

/** Rows by what became of them; together they are the rows of the file. */
export interface ImportCounts {
  added: number;
  changed: number;
  unchanged: number;
  rejected: number;
}

export interface ImportSummary extends ImportCounts {
  id: string;
  kind: ImportKind;
  fileName: string;
  createdBy: string;
  createdAt: Date;
}

export interface ImportRecord extends ImportSummary {
  /** The first 1,000, by line. Also cells that were left out of rows that were taken. */
  rejections: Rejection[];
}

export interface NewImport extends ImportCounts {
  kind: ImportKind;
  fileName: string;
  sha256: Buffer;
  createdBy: string;
  rejections: Rejection[];
}

const SUMMARY = `id, kind, file_name as "fileName", added, changed, unchanged, rejected,
  created_by as "createdBy", created_at as "createdAt"`;

/** Writes down an import that was taken; returns its id. */
export async function insertImport(db: Queryable, record: NewImport): Promise<string> {
  const { id } = await one<{ id: string }>(
    db,
    `insert into imports (kind, file_name, sha256, added, changed, unchanged, rejected, rejections, created_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`,
    [
      record.kind,
      record.fileName,
      record.sha256,
      record.added,
      record.changed,
      record.unchanged,
      record.rejected,
      JSON.stringify(record.rejections.map(({ line, column, reason }) => ({ line, column, reason }))),
      record.createdBy,
    ],
  );
  return id;
}

/** The latest imports, newest first; `after` is the id of the last one already seen (a UUID). */
export async function listImports(
  db: Queryable,
  { limit, after }: { limit: number; after?: string },
): Promise<ImportSummary[]> {
  return rows<ImportSummary>(
    db,
    `select ${SUMMARY} from imports where $2::uuid is null or id < $2 order by id desc limit $1`,
    [limit, after ?? null],
  );
}

/** One import with its rejections, or undefined. `id` is a UUID. */
export async function getImport(db: Queryable, id: string): Promise<ImportRecord | undefined> {
  const found = await maybeOne<ImportRecord>(db, `select ${SUMMARY}, rejections from imports where id = $1`, [
    id,
  ]);
  if (found === undefined) return undefined;
  return { ...found, rejections: found.rejections.map((entry) => ({ ...entry, file: found.fileName })) };
}
