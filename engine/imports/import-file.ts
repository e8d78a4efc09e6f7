import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { COLUMNS, type ImportKind, type RosterRows, rowCheck } from '../domain/roster.ts';
import type { Log } from '../log.ts';
import { type Database, inTransaction } from '../store/db.ts';
import { type ImportCounts, insertImport, type Rejection } from '../store/imports.ts';
import { applyStaged, openStage, type Refusal, refuseStaged, stageRows } from '../store/roster.ts';
import { readCsv } from './csv.ts';
import { rejected } from './rejected.ts';

// A batch is checked without a pause; 250 rows with four phones each take about 30 ms of the event loop, which
// the dialer may share.
const BATCH_ROWS = 250;
const REJECTIONS_KEPT = 1_000;

export interface ImportRequest {
  kind: ImportKind;
  /** As the client calls it; used in messages and in the list of imports only, never as a path. */
  fileName: string;
  stream: Readable;
  /** Who sends it: the name of an API key. */
  createdBy: string;
  /** Whose national phone numbers the file has: ISO 3166 alpha-2, the district's. */
  country: string;
  log?: Log;
}

export interface ImportResult extends ImportCounts {
  id: string;
  kind: ImportKind;
  fileName: string;
  /** The first 1,000, by line. Also cells that were left out of rows that were taken. */
  rejections: Rejection[];
}

/**
 * Reads a CSV file of students, contacts or attendance from `stream` into the roster, in one transaction.
 * Memory does not grow with the file.
 *
 * - Good rows are taken. A bad row, or a bad cell that may be empty, is reported with line, column and
 *   reason; `added + changed + unchanged + rejected` are the rows of the file (see `rowCheck` for which
 *   cells refuse their row).
 * - The file wins: an empty or bad phone removes the stored one, a changed one starts its `since` afresh.
 *   What the file does not name stays as it is.
 * - The same file again changes nothing, except for one more entry in the list of imports.
 *
 * Throws FILE_REJECTED, and leaves everything as it was, for a wrong encoding, header or quote, for an empty
 * file, and when no row can be taken. When `stream` fails, nothing is changed either and its error is thrown.
 * In every case `stream` is read to its end, or set flowing so that it gets there: a multipart request would
 * wait for ever otherwise.
 */
export async function importFile(db: Database, request: ImportRequest): Promise<ImportResult> {
  const started = performance.now();
  try {
    const result = await inTransaction(db, (tx) => importRows(tx, request));
    request.log?.info(
      {
        import: result.id,
        kind: result.kind,
        added: result.added,
        changed: result.changed,
        unchanged: result.unchanged,
        rejected: result.rejected,
        ms: Math.round(performance.now() - started),
      },
      'file imported',
    );
    return result;
  } finally {
    request.stream.resume();
  }
}

async function importRows(
  tx: Parameters<typeof stageRows>[0],
  { kind, fileName, stream, createdBy, country }: ImportRequest,
): Promise<ImportResult> {
  const file = shownName(fileName, kind);
  const hash = createHash('sha256');
  const check = rowCheck(kind, country);
  const found: Rejection[] = [];
  const report = (line: number, column: string | null, reason: string) => {
    if (found.length < REJECTIONS_KEPT) found.push({ file, line, column, reason });
  };
  let bad = 0;
  let batch: (RosterRows[typeof kind] & { line: number })[] = [];

  await openStage(tx, kind);
  for await (const { line, cells } of readCsv(stream, { file, columns: COLUMNS[kind], hash })) {
    if (cells === undefined) {
      bad++;
      report(line, null, `the row does not have ${COLUMNS[kind].length} cells, as the header has`);
      continue;
    }
    const { row, problems } = check(cells);
    for (const { column, reason } of problems) report(line, column, reason);
    if (row === undefined) {
      bad++;
      continue;
    }
    batch.push({ ...row, line });
    if (batch.length === BATCH_ROWS) {
      await stageRows(tx, kind, batch);
      batch = [];
    }
  }
  if (batch.length > 0) await stageRows(tx, kind, batch);

  const { accepted, refused, refusals } = await refuseStaged(tx, kind, REJECTIONS_KEPT);
  // Each list has the first of its kind, so the first of both are in them.
  const rejections = [...found, ...refusals.map((refusal) => explain(refusal, file))]
    .sort((a, b) => a.line - b.line)
    .slice(0, REJECTIONS_KEPT);
  if (accepted === 0) throw nothingAccepted(file, bad + refused, rejections);
  const counts = { ...(await applyStaged(tx, kind)), rejected: bad + refused };
  const id = await insertImport(tx, {
    kind,
    fileName: file,
    sha256: hash.digest(),
    ...counts,
    createdBy,
    rejections,
  });
  return { id, kind, fileName: file, ...counts, rejections };
}

function explain({ line, problem, firstLine, school }: Refusal, file: string): Rejection {
  switch (problem) {
    case 'unknown_school':
      return { file, line, column: 'school_code', reason: `no school has the code ${school}` };
    case 'unknown_student':
      return {
        file,
        line,
        column: 'student_id',
        reason: 'no such student is known: import the students first',
      };
    case 'duplicate':
      return {
        file,
        line,
        column: 'student_id',
        reason: `line ${firstLine} is about the same: that one was taken`,
      };
  }
}

function nothingAccepted(file: string, count: number, rejections: Rejection[]) {
  if (count === 0) return rejected(file, 'it has a header and no rows: export it again');
  const [first] = rejections;
  const why = first === undefined ? '' : ` (the first: ${first.column ?? 'the row'}: ${first.reason})`;
  return rejected(file, `none of its ${count} rows can be taken${why}: correct them and send it again`, {
    ...(first === undefined ? {} : { line: first.line }),
    ...(first?.column ? { column: first.column } : {}),
    rejections,
  });
}

/** A client's name for its file, fit for messages and for the database. */
function shownName(fileName: string, kind: ImportKind): string {
  const shown = fileName.replace(/\p{C}/gu, '').trim().slice(0, 200);
  return shown === '' ? `${kind}.csv` : shown;
}
