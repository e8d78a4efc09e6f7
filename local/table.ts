/** A plain-text table: the first column to the left, numbers to the right. */
export function formatTable(header: string[], body: (string | number)[][], indent = '  '): string {
  const rows = [header, ...body.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? '')].length)));
  const line = (row: string[]) =>
    indent +
    row
      .map((cell, column) => {
        const pad = ' '.repeat((widths[column] ?? 0) - [...cell].length);
        return column === 0 ? cell + pad : pad + cell;
      })
      .join('  ')
      .trimEnd();
  const rule = indent + widths.map((width) => '─'.repeat(width)).join('  ');
  return [line(header), rule, ...rows.slice(1).map(line)].join('\n');
}
