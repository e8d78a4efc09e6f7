import { access, chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createEspeak } from '../../engine/speech/espeak.ts';
import { createFlite, toAscii } from '../../engine/speech/flite.ts';
import { runProgram } from '../../engine/speech/program.ts';
import { parseWav } from '../../engine/speech/wav.ts';

const { signal } = new AbortController();

const EVIL = [
  '$(touch x)',
  '`touch x`; rm -rf /',
  "'; touch x; '",
  '-o file',
  '--help',
  '-w /tmp/rollcall-injected',
  'two\nlines',
  '<speak><audio src="/etc/passwd"/></speak>',
  'nul\0inside',
  '[[h@l]] \x01+10S',
];

/** A program that writes down its arguments, one per line, and what it was given to read. */
async function recorder(t: Test, wav = ''): Promise<{ program: string; folder: string }> {
  const folder = t.testdir({});
  const program = join(folder, 'program');
  const script = `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/args\nenv > ${folder}/env\ncat > ${folder}/input\n${wav}\n`;
  await writeFile(program, script);
  await chmod(program, 0o755);
  return { program, folder };
}

t.test('text reaches a voice as data, never as an argument', async (t) => {
  for (const create of [createFlite, createEspeak]) {
    const { program, folder } = await recorder(t);
    const args = new Set<string>();
    for (const text of EVIL) {
      await create({ program })
        .speak(text, 'en', signal)
        .catch(() => {});
      // flite's folder for its file has a random name.
      args.add((await readFile(join(folder, 'args'), 'utf8')).replace(/rollcall-flite-\w+/, 'FOLDER'));
      t.ok((await readFile(join(folder, 'input'), 'utf8')).length > 0);
    }
    t.equal(args.size, 1, `the arguments are constant: ${[...args].join().replaceAll('\n', ' ')}`);
    t.same((await readdir(folder)).sort(), ['args', 'env', 'input', 'program']);
  }
});

t.test('the engine keeps its environment to itself', async (t) => {
  process.env.ROLLCALL_TEST_SECRET = 'hush';
  t.teardown(() => delete process.env.ROLLCALL_TEST_SECRET);
  const { program, folder } = await recorder(t);
  await createEspeak({ program }).speak('Hi', 'es', signal);
  t.notMatch(await readFile(join(folder, 'env'), 'utf8'), 'hush');
});

t.test('the real voices speak hostile text, without side effect', async (t) => {
  const { TMPDIR } = process.env;
  const folder = t.testdir({});
  process.env.TMPDIR = folder;
  t.teardown(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  });
  for (const voice of [createFlite(), createEspeak()]) {
    for (const text of EVIL) {
      const { rate, samples } = parseWav(await voice.speak(text, 'en', signal));
      t.ok(samples.length > rate / 10, `${voice.name}: ${JSON.stringify(text)}`);
    }
  }
  t.same(await readdir(folder), [], "flite's folders are gone");
  for (const file of ['x', 'file']) await t.rejects(access(file), { code: 'ENOENT' });
  await t.rejects(access('/tmp/rollcall-injected'), { code: 'ENOENT' });
});

t.test('a missing program says how to get it', async (t) => {
  const missing = { program: '/nowhere/flite' };
  await t.rejects(createFlite(missing).speak('Hi', 'en', signal), {
    code: 'SPEECH_FAILED',
    message: /not installed; install .*flite: make setup/,
    cause: { code: 'ENOENT' },
  });
  await t.rejects(createEspeak({ program: 'no-such-espeak' }).speak('Hi', 'es', signal), {
    code: 'SPEECH_FAILED',
    message: 'no-such-espeak is not installed; install no-such-espeak: make setup',
  });
});

t.test('a program that hangs, fails or floods is ended', async (t) => {
  const run = (script: string, more = {}) =>
    runProgram({ program: '/bin/sh', args: ['-c', script], input: 'x'.repeat(200_000), signal, ...more });
  await t.rejects(run('exec sleep 60', { timeoutMs: 100 }), {
    code: 'SPEECH_FAILED',
    message: /longer than 100 ms/,
  });
  await t.rejects(run('echo broken >&2; exit 3'), { code: 'SPEECH_FAILED', details: { stderr: 'broken' } });
  await t.rejects(run('exec cat /dev/zero'), { code: 'SPEECH_FAILED', message: /printed more/ });
  const stop = new AbortController();
  const running = run('exec sleep 60', { signal: stop.signal });
  stop.abort(new Error('shutting down'));
  await t.rejects(running, { message: 'shutting down' });
  const { program } = await recorder(t);
  await t.rejects(createFlite({ program }).speak('Hi', 'en', signal), {
    code: 'SPEECH_FAILED',
    message: /wrote no audio/,
  });
});

t.test('languages come from a list', async (t) => {
  t.ok(createFlite().speaks('en'));
  t.notOk(createFlite().speaks('es'));
  const espeak = createEspeak();
  for (const language of ['es', 'vi', 'ar', 'zh', 'en']) t.ok(espeak.speaks(language), language);
  for (const language of ['', 'xx', '-w', '../es', 'constructor', 'es-419'])
    t.notOk(espeak.speaks(language), language);
});

t.test('espeak-ng has every language of the list', async (t) => {
  const espeak = createEspeak();
  for (const language of 'am ar bn de en es fa fr gu hi ht it ko my ne pa pl pt ru sw ta te uk ur vi zh'.split(
    ' ',
  )) {
    t.ok(espeak.speaks(language));
    t.ok(parseWav(await espeak.speak('1 2 3', language, signal)).samples.length > 8_000, language);
  }
});

t.test('flite gets ASCII', async (t) => {
  t.equal(toAscii('José and Zoë, Łukasz Ångström'), 'Jose and Zoe, lukasz Angstrom');
  t.equal(toAscii('O’Brien — «hi» 你好'), "O'Brien , hi");
});
