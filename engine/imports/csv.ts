import type { Hash } from 'node:crypto';
import { finished, pipeline, type Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import type { RollcallError } from '../errors.ts';
import { rejected } from './rejected.ts';
import { utf8Lines } from './utf8.ts';

/** No row of ours comes near; an unclosed quote would read the rest of the file into one cell. Characters. */
const LONGEST_ROW = 65_536;

/** As csv-parse gives it; `lines` is the line where the row ends. */
interface ParsedRow {
  record: string[];
  info: { lines: number };
}

/** A row below the header: its cells by column, or none when their number is not the header's. */
export interface CsvRow {
  /** Where the row begins, as an editor counts: the header is line 1. */
  line: number;
  cells: Record<string, string> | undefined;
}

/**
 * Reads CSV (RFC 4180: comma, double quotes) that has exactly `columns`, in any order and case, row by row.
 * Empty rows are left out. `hash` gets the bytes as they came.
 *
 * Throws FILE_REJECTED for what makes the whole file unusable (encoding, header, quotes), and whatever
 * `stream` fails with. `stream` is never destroyed here: it may be a request that still needs its answer.
 */
export async function* readCsv(
  stream: Readable,
  { file, columns, hash }: { file: string; columns: readonly string[]; hash: Hash },
): AsyncGenerator<CsvRow> {
  let lastLine = 0;
  let headerCells: string[] | undefined;
  const text = utf8Lines(file, hash);
  const parser = parse({
    info: true,
    record_delimiter: '\n',
    relax_column_count: true,
    max_record_size: LONGEST_ROW,
    // What is known of the file when it turns out to be broken: rows already read would be lost then. The
    // declared type of `row` leaves out what the option `info` does.
    on_record: (row, { lines }) => {
      const { record } = row as unknown as ParsedRow;
      lastLine = lines;
      headerCells ??= isBlank(record) ? undefined : record;
      return row;
    },
  });
  finished(stream, { writable: false }, (error) => {
    if (error) text.destroy(error);
  });
  stream.pipe(text);
  // The error, if any, comes out of the loop over the parser.
  pipeline(text, parser, () => {});

  let header: string[] | undefined;
  try {
    for await (const { record, info } of parser as AsyncIterable<ParsedRow>) {
      // A row is known once it ends; in quotes it may span lines.
      const line = info.lines - record.reduce((breaks, cell) => breaks + cell.split('\n').length - 1, 0);
      if (isBlank(record)) continue;
      if (header === undefined) {
        header = readHeader(record, { file, columns, line });
      } else {
        const cells =
          record.length === header.length
            ? Object.fromEntries(header.map((column, index) => [column, record[index] ?? '']))
            : undefined;
        yield { line, cells };
      }
    }
  } catch (error) {
    throw error instanceof CsvError
      ? malformed(error, { file, columns, line: lastLine + 1 }, headerCells)
      : error;
  } finally {
    stream.unpipe(text);
    text.destroy();
  }
  if (header === undefined)
    throw rejected(file, `it is empty: it must have a header row with ${columns.join(', ')}`);
}

const isBlank = (row: string[]): boolean => row.every((cell) => cell.trim() === '');

interface Expected {
  file: string;
  columns: readonly string[];
  /** Of the row in question. */
  line: number;
}

function readHeader(record: string[], { file, columns, line }: Expected): string[] {
  const header = record.map((name) => name.trim().toLowerCase());
  const [only] = header;
  if (header.length === 1 && only !== undefined && /[;\t|]/.test(only))
    throw rejected(file, 'its columns are not separated by commas: export it with commas', { line });
  const needed = `a header has ${columns.join(', ')}`;
  header.forEach((name, index) => {
    // It comes from outside and goes into a message.
    const shown = (name === '' ? `(empty, number ${index + 1})` : name).replace(/\p{C}/gu, '?').slice(0, 64);
    const place = { line, column: shown };
    if (!columns.includes(name))
      throw rejected(file, `this column is not known; ${needed}: remove or rename it`, place);
    if (header.indexOf(name) !== index) throw rejected(file, 'this column is there twice: remove one', place);
  });
  const missing = columns.filter((name) => !header.includes(name));
  if (missing[0] !== undefined) {
    // Not optional: a column left out by mistake would read as "this family has no phone".
    throw rejected(file, `the header lacks ${missing.join(', ')}: add it, if need be with empty cells`, {
      line,
      column: missing[0],
    });
  }
  return header;
}

/** csv-parse's own messages quote the cell, which may be a name or a phone number. */
function malformed(
  error: CsvError,
  { file, columns, line: rowLine }: Expected,
  headerCells: string[] = [],
): RollcallError {
  const cell = typeof error.column === 'number' ? headerCells[error.column] : undefined;
  const column = columns.find((name) => name === cell?.trim().toLowerCase());
  const line = typeof error.lines === 'number' ? error.lines : rowLine;
  const at = { line, ...(column === undefined ? {} : { column }) };
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
    case 'CSV_MAX_RECORD_SIZE':
      return rejected(file, 'a quotation mark in the row that begins here is never closed: close it', {
        line: rowLine,
      });
    case 'CSV_INVALID_CLOSING_QUOTE':
      return rejected(
        file,
        'there is text after a closing quotation mark: double the quotation marks inside',
        at,
      );
    case 'INVALID_OPENING_QUOTE':
      return rejected(
        file,
        'a quotation mark stands inside a cell that is not quoted: quote the whole cell and double the mark',
        at,
      );
    default:
      return rejected(file, `it cannot be read as CSV (${error.code})`, at);
  }
}
