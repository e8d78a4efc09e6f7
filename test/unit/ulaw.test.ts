import t from 'tap';
import { decodeUlaw, encodeUlaw } from '../../engine/speech/ulaw.ts';

const encode = (sample: number) => encodeUlaw(Float32Array.of(sample / 32_768))[0];
const decode = (byte: number) => Math.round((decodeUlaw(Buffer.of(byte))[0] ?? Number.NaN) * 32_768);

t.test('known values of G.711', async (t) => {
  t.equal(encode(0), 0xff);
  t.equal(encode(-1), 0x7f);
  t.equal(encode(8), 0xfe);
  t.equal(encode(-8), 0x7e);
  t.equal(encode(32_767), 0x80, 'full scale');
  t.equal(encode(-32_768), 0x00, 'negative full scale');
  t.equal(encode(40_000), 0x80, 'beyond full scale is clipped');
  // The decision and output values of ITU-T G.711 table 2a, which counts in 14 bits: times 4.
  t.equal(decode(0xff), 0);
  t.equal(decode(0xfe), 8);
  t.equal(decode(0x80), 8_031 * 4);
  t.equal(decode(0x00), -8_031 * 4);
  t.equal(decode(0x8f), 4_191 * 4);
  t.equal(decode(0xef), 33 * 4);
});

t.test('each code word comes back, except the negative zero', async (t) => {
  for (let byte = 0; byte < 256; byte += 1) t.equal(encode(decode(byte)), byte === 0x7f ? 0xff : byte);
});

t.test('a sine keeps more than 35 dB over its noise at every usual level', async (t) => {
  for (const amplitude of [0.9, 0.3, 0.1, 0.03]) {
    const sine = Float32Array.from(
      { length: 8_000 },
      (_, i) => amplitude * Math.sin((2 * Math.PI * 1_020 * i) / 8_000),
    );
    const back = decodeUlaw(encodeUlaw(sine));
    let [signal, noise] = [0, 0];
    sine.forEach((sample, i) => {
      signal += sample ** 2;
      noise += ((back[i] ?? 0) - sample) ** 2;
    });
    const snr = 10 * Math.log10(signal / noise);
    t.ok(snr > 35, `${snr.toFixed(1)} dB at ${amplitude}`);
  }
});
