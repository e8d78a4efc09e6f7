import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import t from 'tap';
import { csvCell, csvLine, csvPhone } from '../../engine/domain/csv-cell.ts';

const read = (line: string): string[] =>
  parse(line, { record_delimiter: '\r\n', relax_column_count: true })[0] ?? [];

/** What a spreadsheet does before it looks at the first character: kept apart from the code under test. */
const asSeen = (cell: string) => cell.replace(/^[\s"'`´‘’“”\u200b-\u200f\ufeff\u00ad]+/u, '');
const DANGEROUS = [...'=+-@＝＋－＠'];

t.test('every cell that would run is made text', async (t) => {
  for (const cell of [
    '=1+1',
    '+1',
    '-2+3+cmd|" /C calc"!A0',
    '@SUM(1)',
    '\t=1',
    '\r=1',
    '\n=1',
    '\tharmless',
    ' =1',
    '\u00a0=1',
    '\u200b=1',
    '\ufeff=1',
    '"=1',
    '""" =1',
    "'=1",
    '“=1',
    '＝1+1',
    '＋1',
    '－1',
    '＠x',
    '−1',
    '=HYPERLINK("http://x","y")',
  ]) {
    const [value = ''] = read(csvLine([cell]));
    t.equal(value, `'${cell}`, JSON.stringify(cell));
  }
});

t.test('other text stays as it is', async (t) => {
  for (const cell of [
    'Ana Peña',
    "O'Brien",
    'a=b',
    'x-ray',
    '7-8 grade',
    'a "b"',
    'a,b',
    'two\nlines',
    'ends \n',
    '1',
  ])
    t.same(read(csvLine([cell, 'next'])), [cell, 'next'], JSON.stringify(cell));
  t.equal(csvLine([null, 0, 1.5, true]), ',0,1.5,true\r\n');
});

t.test('whatever the text, no cell begins with what runs, and nothing is lost', async () => {
  const nasty = fc.string({
    unit: fc.constantFrom(...'=+-@＝＋－＠\t\r\n "\'`,;|ab1\u200b\ufeff\u00a0', 'é', '😀'),
    maxLength: 12,
  });
  const cells = fc.array(fc.oneof(nasty, fc.string({ unit: 'grapheme' })), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(cells, (cells) => {
      const found = read(csvLine(cells));
      return cells.every((cell, index) => {
        const value = found[index] ?? '';
        const runs = DANGEROUS.includes(asSeen(cell)[0] ?? '') || /^[\t\r\n]/.test(cell);
        return value === `'${cell}` || (!runs && value === cell);
      });
    }),
    { numRuns: 2_000 },
  );
});

t.test('phones', async (t) => {
  t.equal(csvCell(csvPhone('+13035550142')), '1-303-555-0142');
  t.equal(csvCell(csvPhone('+442079460000')), "'+442079460000");
  t.equal(csvCell(csvPhone(null)), '');
});
