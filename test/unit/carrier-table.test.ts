/** test/sim/README.md shows the behaviours that the simulated carrier has. */
import t from 'tap';
import { behaviourTable } from '../sim/carrier/behaviours.ts';
import { read } from '../support/docker-files.ts';

/** Cells of a Markdown table, without the padding and the dashes that only its looks need. */
const cells = (table: string): string[][] =>
  table.split('\n').map((line) => line.split('|').map((cell) => cell.trim().replace(/^-+$/, '-')));

t.test("The README's table is what behaviourTable() returns", (t) => {
  const table = read('test/sim/README.md')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .join('\n');
  t.ok(cells(table).length > 20, 'the table was found');
  t.same(cells(table), cells(behaviourTable()));
  t.end();
});

t.test("Its time-out of an INVITE is Asterisk's", (t) => {
  const [, milliseconds] = /^timer_b = (\d+)$/m.exec(read('dialplan/pjsip.conf')) ?? [];
  t.match(read('test/sim/README.md'), `Timer B, ${Number(milliseconds) / 1000} s after the INVITE`);
  t.end();
});
