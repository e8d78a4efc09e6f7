import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import t from 'tap';
import type { MessageVariables } from '../../engine/domain/template.ts';
import { createLog } from '../../engine/log.ts';
import { createEspeak } from '../../engine/speech/espeak.ts';
import { createFlite } from '../../engine/speech/flite.ts';
import { createRenderer } from '../../engine/speech/renderer.ts';
import { loadTemplates } from '../../engine/speech/templates.ts';
import { decodeUlaw } from '../../engine/speech/ulaw.ts';

/** The templates of the repository, spoken by the real voices, and measured as they go on the line. */
const templates = await loadTemplates(resolve(import.meta.dirname, '../../prompts'));
const renderer = createRenderer({
  directory: join(t.testdir({}), 'prompts'),
  voices: [createFlite(), createEspeak()],
  log: createLog('silent'),
});

const HOUSEHOLD: MessageVariables = {
  district: 'Maple Valley School District',
  schools: ['Lincoln Elementary'],
  students: ['Ana'],
  date: '2026-11-19',
  callback: '+13035550142',
  message: 'School is closed tomorrow because of snow.',
};
const SIBLINGS = {
  schools: ['Lincoln Elementary', 'Roosevelt High School'],
  students: ['Ana', 'Ben', 'José'],
};

const FRAME = 160; // 20 ms

function frameLevels(samples: Float32Array): number[] {
  return Array.from({ length: Math.floor(samples.length / FRAME) }, (_, index) => {
    const frame = samples.subarray(index * FRAME, (index + 1) * FRAME);
    return 10 * Math.log10(frame.reduce((sum, sample) => sum + sample ** 2, 1e-12) / FRAME);
  });
}

/** Power between two frequencies as a part of the whole, by a plain DFT over windows of 32 ms. */
function bandShare(samples: Float32Array, low: number, high: number): number {
  const size = 256;
  const [inside, whole] = [{ power: 0 }, { power: 0 }];
  for (let start = 0; start + size <= samples.length; start += size * 4) {
    for (let bin = 0; bin < size / 2; bin += 1) {
      let [re, im] = [0, 0];
      for (let n = 0; n < size; n += 1) {
        const value = (samples[start + n] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
        re += value * Math.cos((2 * Math.PI * bin * n) / size);
        im += value * Math.sin((2 * Math.PI * bin * n) / size);
      }
      const hertz = (bin * 8_000) / size;
      whole.power += re * re + im * im;
      if (hertz >= low && hertz <= high) inside.power += re * re + im * im;
    }
  }
  return inside.power / whole.power;
}

for (const name of ['attendance', 'message']) {
  t.same(templates.languages(name), ['en', 'es'], name);
  for (const language of ['en', 'es']) {
    t.test(`${language}/${name}`, async (t) => {
      const speech = templates.compose(name, language, HOUSEHOLD);
      t.equal(speech.language, language);
      t.match(speech.text.slice(0, 80), 'Lincoln Elementary');
      t.match(speech.text.slice(0, 80), 'Maple Valley School District', 'first who is calling');
      t.match(speech.text, /3 0 3, 5 5 5, 0 1 4 2\..* (press|presione) 1\. .* (press|presione) 2\.$/);
      const started = performance.now();
      const { file, durationMs } = await renderer.render(speech);
      t.comment(`${durationMs} ms of audio, rendered in ${Math.round(performance.now() - started)} ms`);
      t.ok(durationMs > 8_000 && durationMs < 20_000, `${durationMs} ms`);

      const samples = decodeUlaw(await readFile(file));
      const levels = frameLevels(samples);
      const loudest = levels.reduce((max, level) => Math.max(max, level));
      const voiced = levels.filter((level) => level > loudest - 25);
      const mean =
        10 * Math.log10(voiced.reduce((sum, level) => sum + 10 ** (level / 10), 0) / voiced.length);
      t.ok(Math.abs(mean + 20) <= 1.5, `level ${mean.toFixed(1)} dBFS`);
      const peak = samples.reduce((max, sample) => Math.max(max, Math.abs(sample)), 0);
      t.ok(peak > 0.3 && peak < 0.98, `peak ${peak.toFixed(2)} of full scale`);
      const silence = levels.findIndex((level) => level > -50) * 20;
      t.ok(silence < 100, `${silence} ms of silence before`);
      const end = (levels.length - 1 - levels.findLastIndex((level) => level > -50)) * 20;
      t.ok(end <= 200, `${end} ms of silence after`);
      const share = bandShare(samples, 300, 3_400);
      t.ok(share > 0.8, `${(share * 100).toFixed(0)} % of the power between 300 and 3,400 Hz`);
    });
  }
}

t.test('large households and no call-back number read well, under 25 s', async (t) => {
  for (const name of templates.names()) {
    for (const language of templates.languages(name)) {
      for (const callback of [HOUSEHOLD.callback, null]) {
        const speech = templates.compose(name, language, { ...HOUSEHOLD, ...SIBLINGS, callback });
        t.notMatch(speech.text, /[{}[\]]|\s[.,]|\.\.|undefined|null/, speech.text);
        const { durationMs } = await renderer.render(speech);
        t.ok(durationMs < 25_000, `${language}/${name}: ${durationMs} ms`);
      }
    }
  }
});
