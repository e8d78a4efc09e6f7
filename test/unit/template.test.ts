import fc from 'fast-check';
import t from 'tap';
import {
  fillTemplate,
  type MessageVariables,
  parseTemplate,
  type Template,
} from '../../engine/domain/template.ts';

const VARIABLES: MessageVariables = {
  district: 'Maple Valley School District',
  schools: ['Lincoln Elementary'],
  students: ['Ana', 'Inés'],
  date: '2026-11-19',
  callback: '+13035550142',
  message: 'School is closed',
};

function parsed(source: string): Template {
  const result = parseTemplate(source, 'en/x.txt');
  if (!result.ok) throw new Error(result.problem);
  return result.template;
}

function filled(source: string, changes: Partial<MessageVariables> = {}, language = 'en') {
  const result = fillTemplate(parsed(source), language, { ...VARIABLES, ...changes });
  return result.ok ? result.text : `problem: ${result.problem}`;
}

t.test('each variable is spoken properly', async (t) => {
  t.equal(
    filled('{district}: {schools}, {students},\n {date}, {callback}. {message} Bye.'),
    'Maple Valley School District: Lincoln Elementary, Ana and Inés, Thursday, November 19th, ' +
      '3 0 3, 5 5 5, 0 1 4 2. School is closed. Bye.',
  );
  t.equal(filled('{students} el { date }', {}, 'es'), 'Ana e Inés el jueves 19 de noviembre');
  t.equal(filled('{message}', { message: 'Really?' }), 'Really?');
});

t.test('an optional part goes when a variable in it is empty', async (t) => {
  const source = 'An absence[ of {students}] today.[ Questions? Call {callback}.] Press 1.';
  t.equal(
    filled(source),
    'An absence of Ana and Inés today. Questions? Call 3 0 3, 5 5 5, 0 1 4 2. Press 1.',
  );
  t.equal(filled(source, { callback: null, students: ['<>', ''] }), 'An absence today. Press 1.');
});

t.test('a hole in the text is a problem', async (t) => {
  t.equal(
    filled('{message}', { message: ' \n' }),
    'problem: en/x.txt: needs {message}, which is empty or not valid here',
  );
  t.match(filled('On {date}', { date: '2026-02-30' }), 'problem: en/x.txt: needs {date}');
  t.match(
    filled('{message}', { message: 'x'.repeat(4_001) }),
    'problem: en/x.txt: the message has 4001 characters',
  );
  t.match(filled('{message} '.repeat(2), { message: 'x'.repeat(4_000) }), /problem: .* more than 5000/);
});

t.test('what is wrong with a template is said', async (t) => {
  const problems: [string, string | RegExp][] = [
    [
      'Hi {nope}',
      'en/x.txt: there is no variable {nope}; known are district, schools, students, date, callback, message',
    ],
    ['Hi {}', /there is no variable \{\}/],
    ['Hi {constructor}', /there is no variable \{constructor\}/],
    ['Hi {district', 'en/x.txt: a "{" has no partner'],
    ['Hi district}', 'en/x.txt: a "}" has no partner'],
    ['Hi [{district}', 'en/x.txt: a "[" has no partner'],
    ['Hi {district}]', 'en/x.txt: a "]" has no partner'],
    ['[a [{district}]]', /cannot be nested/],
    ['Hi [there]', /has no variable/],
    [' \n\t', 'en/x.txt: is empty'],
    ['x'.repeat(4_001), /has 4001 characters/],
  ];
  for (const [source, problem] of problems) {
    t.match(parseTemplate(source, 'en/x.txt'), { ok: false, problem }, source.slice(0, 20));
  }
  t.ok(parseTemplate('x'.repeat(4_000), 'x').ok);
});

t.test('names and free text cannot become a template, markup or a second line', async (t) => {
  const evil = '{callback} [x] <speak>\n-o /etc/passwd $(touch x); rm\0';
  const harmless = 'callback x -o /etc/passwd $(touch x); rm';
  t.equal(
    filled('1 {district} 2 {students} 3 {message}', { district: evil, students: [evil], message: evil }),
    `1 ${harmless} 2 ${harmless.slice(0, 40)} 3 ${harmless}.`,
  );
  const nasty = fc.string({ unit: 'binary', maxLength: 60 });
  fc.assert(
    fc.property(nasty, nasty, fc.array(nasty), (district, message, students) => {
      const result = fillTemplate(parsed('Hi. [{district}] [{students}] [{message}]'), 'en', {
        ...VARIABLES,
        district,
        message,
        students,
      });
      return result.ok && !/[<>&[\]{}\p{Cc}\p{Cf}\p{Cs}]|\s\s/u.test(result.text);
    }),
  );
});

t.test('lists and names have an end', async (t) => {
  const many = Array.from({ length: 50 }, (_, i) => `N${i}`);
  t.match(filled('{students}', { students: many }), /, N10 and N11$/);
  t.equal(filled('{students}', { students: ['x'.repeat(1_000)] }).length, 40);
});
