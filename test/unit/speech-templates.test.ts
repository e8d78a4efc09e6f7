import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { loadTemplates } from '../../engine/speech/templates.ts';

const VARIABLES = {
  district: 'Maple Valley',
  schools: ['Lincoln'],
  students: ['Ana', 'Inés'],
  date: '2026-11-19',
  callback: null,
  message: '',
};

async function folderWith(t: Test, files: Record<string, string | Buffer>): Promise<string> {
  const folder = t.testdir({});
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

t.test('composes in the language, or in English where it is missing', async (t) => {
  const folder = await folderWith(t, {
    'README.md': 'for people',
    'en/absence.txt': '{students} on {date}.\n',
    'es/absence.txt': '{students} el {date}.',
    'en/late-bus.txt': '{message}',
  });
  const templates = await loadTemplates(folder);
  t.same(templates.names(), ['absence', 'late-bus']);
  t.same(templates.languages('absence'), ['en', 'es']);
  t.same(templates.languages('late-bus'), ['en']);
  t.same(templates.languages('nope'), []);
  t.ok(templates.has('absence'));
  t.notOk(templates.has('nope'));
  t.same(templates.compose('absence', 'es', VARIABLES), {
    language: 'es',
    text: 'Ana e Inés el jueves 19 de noviembre.',
  });
  const english = { language: 'en', text: 'Ana and Inés on Thursday, November 19th.' };
  t.same(templates.compose('absence', 'en', VARIABLES), english);
  for (const missing of ['vi', 'nope', '../es', ''])
    t.same(templates.compose('absence', missing, VARIABLES), english);
  t.throws(() => templates.compose('nope', 'en', VARIABLES), {
    code: 'TEMPLATE_INVALID',
    message: /absence, late-bus/,
  });
  t.throws(() => templates.compose('late-bus', 'en', VARIABLES), {
    code: 'TEMPLATE_INVALID',
    message: /needs \{message\}/,
  });
});

t.test('all mistakes are told at once', async (t) => {
  const folder = await folderWith(t, {
    'en/a.txt': 'Hi {nope}',
    'es/a.txt': 'Hola {district',
    'es/b.txt': 'Hola',
    'en/c.txt': Buffer.from([0x48, 0xff, 0xfe]),
    'EN/d.txt': 'Hi',
    'en/e.text': 'Hi',
  });
  const problems = [
    'EN/d.txt: is not named <language>/<template>.txt in small letters, as in en/attendance.txt',
    'en/a.txt: there is no variable {nope}; known are district, schools, students, date, callback, message',
    'en/c.txt: cannot be read as UTF-8 text',
    'en/e.text: is not named <language>/<template>.txt in small letters, as in en/attendance.txt',
    'es/a.txt: a "{" has no partner',
    'en/b.txt: is missing; it is spoken where other languages have no text',
  ];
  await t.rejects(loadTemplates(folder), { code: 'TEMPLATE_INVALID', status: 422, details: { problems } });
});

t.test('no folder and no templates are mistakes', async (t) => {
  await t.rejects(loadTemplates(join(t.testdir({}), 'nope')), {
    code: 'TEMPLATE_INVALID',
    message: /cannot be read/,
  });
  await t.rejects(loadTemplates(await folderWith(t, { 'README.md': '' })), {
    code: 'TEMPLATE_INVALID',
    message: /no templates/,
  });
});
