import t from 'tap';
import { type COLUMNS, rowCheck } from '../../engine/domain/roster.ts';

const student = {
  student_id: ' 1001 ',
  school_code: 'ELM',
  first_name: 'Zoë',
  last_name: "O'Neil",
  grade: 'K',
  language: 'ES',
  primary_phone: '(303) 555-0142',
  secondary_phone: '',
};
const contact = {
  student_id: '1001',
  contact: 'Main',
  first_name: 'María José',
  last_name: 'Núñez',
  language: '',
  home_phone: '',
  mobile_phone: '720-555-4242',
  work_phone: '',
  email: 'maria@example.org',
};
const absence = { student_id: '1001', date: '2026-09-30', period: 'ALL', code: 'Unexcused' };

t.test('cells are trimmed and brought to their form', async (t) => {
  t.same(rowCheck('students', 'US')(student), {
    row: {
      ...student,
      student_id: '1001',
      language: 'es',
      primary_phone: '+13035550142',
      secondary_phone: null,
    },
    problems: [],
  });
  t.same(rowCheck('contacts', 'US')(contact), {
    row: {
      ...contact,
      contact: 'main',
      language: null,
      home_phone: null,
      mobile_phone: '+17205554242',
      work_phone: null,
    },
    problems: [],
  });
  t.same(rowCheck('attendance', 'US')(absence), {
    row: { ...absence, period: 'all', code: 'unexcused' },
    problems: [],
  });
});

t.test('a student without a language is called in English, one without a grade has none', async (t) => {
  t.match(rowCheck('students', 'US')({ ...student, language: ' ', grade: '' }), {
    row: { language: 'en', grade: '' },
    problems: [],
  });
});

t.test('a bad cell that may be empty is reported, and the rest of the row taken', async (t) => {
  for (const [column, value, reason] of [
    ['primary_phone', '555', 'has too few or too many digits: give the whole number with its area code'],
    ['language', 'spanish', 'is not a language code of two letters, such as en or es'],
    ['language', 'sp', 'is not a language code of two letters, such as en or es'],
    ['grade', 'x'.repeat(17), 'is longer than 16 characters'],
  ] as const) {
    const { row, problems } = rowCheck('students', 'US')({ ...student, [column]: value });
    t.same(problems, [{ column, reason: `${reason}; the rest of the row was taken` }]);
    t.match(row, { student_id: '1001', first_name: 'Zoë' });
  }
  const { row, problems } = rowCheck('contacts', 'US')({ ...contact, email: 'maria@', home_phone: '911' });
  t.same(
    problems.map(({ column }) => column),
    ['home_phone', 'email'],
  );
  t.match(row, { email: null, home_phone: null, mobile_phone: '+17205554242' });
});

t.test('a bad cell that says who or what it is about refuses the row', async (t) => {
  const refused: [keyof typeof COLUMNS, Record<string, string>, string, RegExp][] = [
    ['students', { ...student, student_id: '' }, 'student_id', /is empty/],
    ['students', { ...student, school_code: ' ' }, 'school_code', /is empty/],
    ['students', { ...student, first_name: 'x'.repeat(81) }, 'first_name', /longer than 80/],
    ['students', { ...student, last_name: 'Li\nsa' }, 'last_name', /control characters/],
    ['students', { ...student, last_name: 'Li\u202esa' }, 'last_name', /control characters/],
    ['contacts', { ...contact, contact: 'third' }, 'contact', /one of main, secondary/],
    ['attendance', { ...absence, date: '09/30/2026' }, 'date', /not a date/],
    ['attendance', { ...absence, date: '2026-02-30' }, 'date', /not a date/],
    ['attendance', { ...absence, date: '0000-01-01' }, 'date', /century/],
    ['attendance', { ...absence, code: 'absent' }, 'code', /one of unexcused, excused, tardy/],
    ['attendance', { ...absence, period: '' }, 'period', /is empty/],
  ];
  for (const [kind, cells, column, reason] of refused) {
    const checked = rowCheck(kind, 'US')(cells);
    t.equal(checked.row, undefined);
    t.match(checked.problems, [{ column, reason }]);
    t.equal(checked.problems.length, 1);
  }
});

t.test('a refused row reports each bad cell once, and says nothing of being taken', async (t) => {
  const { row, problems } = rowCheck('students', 'US')({ ...student, student_id: '', primary_phone: 'none' });
  t.equal(row, undefined);
  t.same(problems, [
    { column: 'student_id', reason: 'is empty' },
    { column: 'primary_phone', reason: 'has letters: give digits only' },
  ]);
});

t.test('text that only looks dangerous is text', async (t) => {
  for (const name of [
    '=cmd()',
    '"; drop table students; --',
    'PJSIP/1&Local/2',
    '<b>',
    '$' + '{EXTEN}',
    "D'Andre, Jr.",
  ])
    t.match(rowCheck('students', 'US')({ ...student, first_name: name }), {
      row: { first_name: name },
      problems: [],
    });
});
