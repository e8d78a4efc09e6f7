import fc from 'fast-check';
import t from 'tap';
import { isRollcallError } from '../../engine/errors.ts';
import { level, speechLevel, trim } from '../../engine/speech/loudness.ts';
import { resample } from '../../engine/speech/resample.ts';
import { toTelephone } from '../../engine/speech/telephone.ts';
import { decodeUlaw } from '../../engine/speech/ulaw.ts';
import { parseWav } from '../../engine/speech/wav.ts';

const sine = (hertz: number, rate: number, seconds: number, amplitude = 0.5) =>
  Float32Array.from(
    { length: rate * seconds },
    (_, i) => amplitude * Math.sin((2 * Math.PI * hertz * i) / rate),
  );

const rms = (samples: Float32Array) =>
  10 * Math.log10(samples.reduce((sum, sample) => sum + sample ** 2, 0) / samples.length);

function wavOf(samples: Float32Array, rate: number, size = samples.length * 2): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(size > 0x7000_0000 ? size : size + 36, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(size, 40);
  const data = Buffer.alloc(samples.length * 2);
  samples.forEach((sample, i) => {
    data.writeInt16LE(Math.round(sample * 32_767), i * 2);
  });
  return Buffer.concat([header, data]);
}

t.test('reads WAVs as programs write them', async (t) => {
  const tone = sine(440, 16_000, 0.1);
  const plain = wavOf(tone, 16_000);
  t.match(parseWav(plain), { rate: 16_000, samples: { length: 1_600 } });
  t.ok(Math.abs((parseWav(plain).samples[10] ?? 0) - (tone[10] ?? 0)) < 0.001);
  for (const size of [0, 0x7fff_f000, 0xffff_ffff]) {
    t.equal(parseWav(wavOf(tone, 22_050, size)).samples.length, 1_600, `streamed, size ${size}`);
  }
  const list = Buffer.from('LIST\x03\0\0\0abc\0', 'latin1');
  const extra = Buffer.concat([plain.subarray(0, 36), list, plain.subarray(36), list]);
  t.equal(parseWav(extra).samples.length, 1_600, 'other chunks are passed over, odd sizes padded');
});

t.test('refuses what is not a whole 16-bit mono WAV', async (t) => {
  const plain = wavOf(sine(440, 16_000, 0.1), 16_000);
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(plain);
    copy.writeUInt16LE(value, at);
    return copy;
  };
  const refused: [Buffer, RegExp][] = [
    [Buffer.alloc(0), /is not a WAV/],
    [plain.subarray(0, 30), /damaged header|no samples/],
    [plain.subarray(0, 44 + 1_000), /ends before its end; is the disk full/],
    [changed(22, 2), /not 16-bit mono/],
    [changed(34, 8), /not 16-bit mono/],
    [changed(20, 7), /not 16-bit mono/],
    [changed(24, 100), /100 samples a second/],
  ];
  for (const [wav, message] of refused) t.throws(() => parseWav(wav), { code: 'SPEECH_FAILED', message });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(60), (noise, keep) => {
      try {
        parseWav(Buffer.concat([plain.subarray(0, keep), noise]));
        return true;
      } catch (error) {
        return isRollcallError(error, 'SPEECH_FAILED');
      }
    }),
  );
});

t.test('resampling keeps speech and lets nothing fold back', async (t) => {
  for (const rate of [16_000, 22_050, 11_025, 44_100]) {
    for (const hertz of [300, 1_000, 3_000, 3_400]) {
      const line = await resample(sine(hertz, rate, 0.5), rate, 8_000);
      t.equal(line.length, 4_000);
      const change = rms(line.subarray(400, 3_600)) - rms(sine(hertz, 8_000, 0.5).subarray(400, 3_600));
      t.ok(Math.abs(change) < (hertz > 3_000 ? 1 : 0.3), `${hertz} Hz from ${rate}: ${change.toFixed(2)} dB`);
    }
    const alias = rms((await resample(sine(4_600, rate, 0.5), rate, 8_000)).subarray(400, 3_600));
    t.ok(alias < -55, `4,600 Hz from ${rate}: ${alias.toFixed(0)} dBFS`);
  }
  // The phase too: a tone comes out at the time at which it went in.
  const line = await resample(sine(1_000, 22_050, 0.5), 22_050, 8_000);
  sine(1_000, 8_000, 0.5).forEach((sample, i) => {
    if (i > 400 && i < 3_600 && Math.abs((line[i] ?? 0) - sample) > 0.01) t.fail(`sample ${i}`);
  });
});

t.test('levels the speech, not its pauses, and never clips', async (t) => {
  const speech = new Float32Array(24_000);
  speech.set(sine(500, 8_000, 1, 0.02), 4_000);
  speech.set(sine(500, 8_000, 1, 0.02), 14_400);
  t.ok(Math.abs(speechLevel(speech) - rms(sine(500, 8_000, 1, 0.02))) < 0.1, 'pauses do not count');
  t.ok(Math.abs(speechLevel(level(speech)) + 20) < 0.1);
  t.ok(Math.abs(speechLevel(level(speech, -14)) + 14) < 0.1);
  const peaky = sine(500, 8_000, 1, 0.05).map((sample, i) => (i % 400 === 0 ? 1 : sample));
  const peak = level(peaky).reduce((max, sample) => Math.max(max, Math.abs(sample)), 0);
  t.ok(peak > 0.7 && peak <= 0.95, `peak ${peak}`);
  t.equal(speechLevel(new Float32Array(8_000)), -Infinity);
  const cut = trim(level(speech));
  t.ok(Math.abs(cut.length / 8 - (1_000 + 300 + 1_000 + 50 + 150)) <= 20, `${cut.length / 8} ms stay`);
});

t.test('a WAV becomes line audio, and silence is refused', async (t) => {
  const bytes = await toTelephone(wavOf(sine(1_000, 22_050, 2, 0.01), 22_050, 0x7fff_f000));
  t.ok(Math.abs(rms(decodeUlaw(bytes)) + 20) < 0.5);
  t.ok(Math.abs(bytes.length / 8 - 2_000) <= 150);
  await t.rejects(toTelephone(wavOf(new Float32Array(16_000), 16_000)), {
    code: 'SPEECH_FAILED',
    message: /said nothing/,
  });
  await t.rejects(toTelephone(wavOf(new Float32Array(0), 16_000)), { code: 'SPEECH_FAILED' });
});
