/**
 * A cell that a spreadsheet could run: one of = + - @ (or their full-width and mathematical variants), a tab
 * or a line break at its start, also behind quotes, blanks and characters that cannot be seen, which
 * spreadsheets strip. Source: OWASP, CSV Injection.
 */
const RUNS = /^(?:[\t\r\n]|[\s"'`´‘’“”\p{Cc}\p{Cf}\p{Z}]*[=+\-@＝＋－﹢﹣＠﹫−⁺⁻﹦])/u;

const NORTH_AMERICAN = /^\+1(\d{3})(\d{3})(\d{4})$/;

/**
 * One cell of a CSV file (RFC 4180), quoted where it must be. Text that a spreadsheet would run is given a
 * leading apostrophe, which makes it plain text.
 */
export function csvCell(value: string | number | boolean | null): string {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = RUNS.test(value) ? `'${value}` : value;
  return /[",\r\n\t;]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line of a CSV file, with its CRLF. */
export function csvLine(cells: readonly (string | number | boolean | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * A phone number for a cell: `1-303-555-0142`, which no spreadsheet runs or turns into a number. Numbers
 * outside North America stay E.164 and so get the apostrophe of {@link csvCell}: `'+442079460000`.
 */
export function csvPhone(e164: string | null): string | null {
  return e164 === null ? null : e164.replace(NORTH_AMERICAN, '1-$1-$2-$3');
}
