import { execFileSync } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createLog } from '../../engine/log.ts';
import { createLimit } from '../../engine/speech/limit.ts';
import { createRenderer, soundPath } from '../../engine/speech/renderer.ts';
import type { Voice } from '../../engine/speech/voice.ts';

const log = createLog('silent');

/** A voice that hums for half a second, and keeps account of what it was asked. */
function fakeVoice({
  gate = Promise.resolve(),
  wav = toneWav(),
}: {
  gate?: Promise<void>;
  wav?: Buffer;
} = {}) {
  const spoken: string[] = [];
  let running = 0;
  const state = { spoken, most: 0 };
  const voice: Voice = {
    name: 'fake',
    speaks: (language) => language !== 'xx',
    async speak(text) {
      spoken.push(text);
      running += 1;
      state.most = Math.max(state.most, running);
      await gate;
      running -= 1;
      return wav;
    },
  };
  return { voice, state };
}

function toneWav(samples = 4_000): Buffer {
  const wav = Buffer.alloc(44 + samples * 2);
  wav.write(
    'RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0',
    'latin1',
  );
  for (let i = 0; i < samples; i += 1) wav.writeInt16LE(Math.round(3_000 * Math.sin(i)), 44 + i * 2);
  return wav;
}

const filesBelow = async (folder: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

function rendererFor(t: Test, voice: Voice) {
  const directory = join(t.testdir({}), 'deep', 'prompts');
  return { directory, renderer: createRenderer({ directory, voices: [voice], log }) };
}

t.test('renders to a file that Asterisk can read, named by its content', async (t) => {
  const before = process.umask(0o077);
  t.teardown(() => process.umask(before));
  const { voice } = fakeVoice();
  const { directory, renderer } = rendererFor(t, voice);
  const made = await renderer.render({ text: 'Hello', language: 'en' });
  t.match(made.hash, /^[0-9a-f]{64}$/);
  t.equal(made.hash, renderer.hashOf({ text: 'Hello', language: 'en' }));
  t.equal(made.file, `${soundPath(directory, made.hash)}.ulaw`);
  t.equal(made.file, join(directory, made.hash.slice(0, 2), `${made.hash}.ulaw`));
  t.equal(made.durationMs, (await stat(made.file)).size / 8);
  t.ok(Math.abs(made.durationMs - 500) <= 150);
  t.equal((await stat(made.file)).mode & 0o777, 0o644);
  t.equal((await stat(dirname(made.file))).mode & 0o777, 0o755);
  t.equal((await stat(directory)).mode & 0o777, 0o755);
  t.same(await filesBelow(directory), [`${made.hash}.ulaw`]);
});

t.test('the hash follows text, language and voice', async (t) => {
  const { voice } = fakeVoice();
  const { renderer } = rendererFor(t, voice);
  const other = createRenderer({ directory: '/nowhere', voices: [{ ...voice, name: 'other' }], log });
  const hashes = [
    renderer.hashOf({ text: 'Hello', language: 'en' }),
    renderer.hashOf({ text: 'Hello.', language: 'en' }),
    renderer.hashOf({ text: 'Hello', language: 'es' }),
    other.hashOf({ text: 'Hello', language: 'en' }),
  ];
  t.equal(new Set(hashes).size, 4);
  t.equal(renderer.hashOf({ text: ' Hello\n', language: 'en' }), hashes[0], 'white space is not heard');
});

t.test('each distinct text is rendered once, at most two at a time', async (t) => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { voice, state } = fakeVoice({ gate });
  const { directory, renderer } = rendererFor(t, voice);
  const texts = ['One', 'Two', 'Three', 'Four'];
  const all = texts.flatMap((text) =>
    Array.from({ length: 10 }, () => renderer.render({ text, language: 'en' })),
  );
  // While another renderer does a whole run, all that are allowed to have begun.
  const other = createRenderer({ directory: join(directory, 'other'), voices: [fakeVoice().voice], log });
  await other.render({ text: 'Other', language: 'en' });
  t.equal(state.most, 2);
  open();
  t.equal(new Set((await Promise.all(all)).map((made) => made.hash)).size, 4);
  t.same(state.spoken, texts);
  t.equal(state.most, 2);
  t.match(await renderer.render({ text: 'One', language: 'en' }), { cached: true });
  const restarted = createRenderer({ directory, voices: [voice], log });
  t.match(await restarted.render({ text: 'Two', language: 'en' }), { cached: true });
  t.equal(state.spoken.length, 4, 'what exists is not rendered again');
});

t.test('a limit holds, keeps the order, and survives failures', async (t) => {
  const limited = createLimit(2);
  const begun: number[] = [];
  const ends = Array.from({ length: 4 }, () => Promise.withResolvers<number>());
  const results = ends.map(({ promise }, index) =>
    limited(() => {
      begun.push(index);
      return promise;
    }),
  );
  await setImmediate();
  t.same(begun, [0, 1]);
  ends[1]?.reject(new Error('broken'));
  await t.rejects(async () => results[1], { message: 'broken' });
  await setImmediate();
  t.same(begun, [0, 1, 2]);
  for (const { resolve } of ends) resolve(7);
  t.equal(await results[3], 7);
  t.equal(await limited(async () => 8), 8);
});

t.test('an empty file is not taken for audio', async (t) => {
  const { voice } = fakeVoice();
  const { directory, renderer } = rendererFor(t, voice);
  const hash = renderer.hashOf({ text: 'Hello', language: 'en' });
  const file = `${soundPath(directory, hash)}.ulaw`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, '');
  t.match(await renderer.render({ text: 'Hello', language: 'en' }), { cached: false });
  t.ok((await stat(file)).size > 0);
});

t.test('a failure leaves nothing behind, and the next try may succeed', async (t) => {
  const { voice, state } = fakeVoice();
  const { directory, renderer } = rendererFor(t, voice);
  const hash = renderer.hashOf({ text: 'Hello', language: 'en' });
  // A folder where the file should be: the rename fails after everything was written.
  const file = `${soundPath(directory, hash)}.ulaw`;
  await mkdir(join(file, 'in the way'), { recursive: true });
  await t.rejects(renderer.render({ text: 'Hello', language: 'en' }), {
    code: 'SPEECH_FAILED',
    message: /cannot be kept/,
    cause: { syscall: 'rename' },
  });
  t.same(await filesBelow(directory), []);
  t.match(await renderer.render({ text: 'Other', language: 'en' }), { cached: false });
  t.equal(state.spoken.length, 2, 'the place of the failed run is free again');
});

t.test('a disk that is full in the middle is named, and leaves no part of a file', async (t) => {
  const { voice } = fakeVoice();
  const { directory, renderer } = rendererFor(t, voice);
  // This process's own limit of a file's size fails a write half-way, as a full disk does.
  const limitFiles = (bytes: string) =>
    execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:`]);
  const survive = () => {};
  process.on('SIGXFSZ', survive);
  limitFiles('2000');
  try {
    await t.rejects(renderer.render({ text: 'Hello', language: 'en' }), {
      code: 'SPEECH_FAILED',
      message: /cannot be kept/,
      cause: { code: 'EFBIG' },
    });
  } finally {
    limitFiles('unlimited');
    process.off('SIGXFSZ', survive);
  }
  t.same(await filesBelow(directory), []);
});

t.test('what cannot be spoken is refused before anything is written', async (t) => {
  const { voice } = fakeVoice({ wav: Buffer.from('not a wav') });
  const { renderer } = rendererFor(t, voice);
  for (const text of ['', ' \n\0', '<break/>', '…!?', 'x'.repeat(5_001)]) {
    await t.rejects(renderer.render({ text, language: 'en' }), { code: 'INPUT_INVALID' });
  }
  await t.rejects(renderer.render({ text: 'Hi', language: 'xx' }), {
    code: 'SPEECH_FAILED',
    message: /No voice speaks/,
  });
  await t.rejects(renderer.render({ text: 'Hi', language: 'en' }), {
    code: 'SPEECH_FAILED',
    message: /not a WAV/,
  });
  t.throws(() => soundPath('/prompts', '../../etc/passwd'), { code: 'INTERNAL' });
});

t.test('shutdown ends what waits', async (t) => {
  const { voice } = fakeVoice();
  const reason = new Error('shutting down');
  const renderer = createRenderer({
    directory: t.testdir({}),
    voices: [voice],
    log,
    signal: AbortSignal.abort(reason),
  });
  await t.rejects(renderer.render({ text: 'Hi', language: 'en' }), reason);
});
