import t from 'tap';
import { cleanText, spokenDate, spokenList, spokenPhone } from '../../engine/domain/spoken.ts';

t.test('lists are joined as people say them', async (t) => {
  t.equal(spokenList([], 'en'), '');
  t.equal(spokenList(['Ana'], 'en'), 'Ana');
  t.equal(spokenList(['Ana', 'Ben'], 'en'), 'Ana and Ben');
  t.equal(spokenList(['Ana', 'Ben', 'Cai'], 'en'), 'Ana, Ben and Cai');
  t.equal(spokenList(['Ana', 'Ben', 'Cai'], 'fr'), 'Ana, Ben et Cai');
});

t.test('Spanish says "e" before the sound i, and "y" elsewhere', async (t) => {
  for (const name of ['Inés', 'Ignacio', 'Íñigo', 'Hilda', 'Yvonne']) {
    t.equal(spokenList(['Ana', name], 'es'), `Ana e ${name}`);
  }
  for (const name of ['Ben', 'Yolanda', 'Hielo', 'Ian', 'Hugo']) {
    t.equal(spokenList(['Ana', name], 'es'), `Ana y ${name}`);
  }
});

t.test('dates are spoken in the language, and impossible ones refused', async (t) => {
  t.equal(spokenDate('2026-11-19', 'en'), 'Thursday, November 19th');
  t.equal(spokenDate('2026-11-19', 'es'), 'jueves 19 de noviembre');
  t.equal(spokenDate('2026-12-01', 'es'), 'martes primero de diciembre');
  t.equal(spokenDate('2026-11-19', 'fr'), 'jeudi 19 novembre');
  const endings = {
    1: 'st',
    2: 'nd',
    3: 'rd',
    4: 'th',
    11: 'th',
    12: 'th',
    13: 'th',
    21: 'st',
    22: 'nd',
    23: 'rd',
    31: 'st',
  };
  for (const [day, ending] of Object.entries(endings)) {
    t.match(spokenDate(`2026-10-${day.padStart(2, '0')}`, 'en'), `October ${day}${ending}`);
  }
  for (const wrong of ['2026-02-30', '2026-13-01', '19.11.2026', '2026-11-19T00:00', '']) {
    t.equal(spokenDate(wrong, 'en'), null, wrong);
  }
});

t.test('numbers are read digit by digit, in the groups of their country', async (t) => {
  t.equal(spokenPhone('+13035550142'), '3 0 3, 5 5 5, 0 1 4 2');
  t.equal(spokenPhone('+525512345678'), '5 5, 1 2 3 4, 5 6 7 8');
  t.equal(spokenPhone('none'), '');
});

t.test('untrusted text loses everything that a synthesiser could obey', async (t) => {
  const clean = (text: string, limit = 200) => cleanText(text, 'en', limit);
  t.equal(clean('  Ana\n\tMaría \r\n'), 'Ana María');
  t.equal(clean('An\0a\x01B\x1b[31m'), 'An a B 31m');
  t.equal(clean('<speak>Ana<break time="9s"/></speak>'), 'Ana');
  t.equal(clean('<!-- x -->Ana <?xml?>'), 'Ana');
  t.equal(clean('5 < 6 > 4'), '5 6 4');
  t.equal(clean('[[h@l]] {district}'), 'h@l district');
  t.equal(clean('＜speak＞Ana'), 'Ana', 'full-width brackets are brackets');
  t.equal(clean('A\u202ena\u200b'), 'Ana', 'invisible characters');
  t.equal(clean('\ud83dAna\ud800'), 'Ana', 'halves of characters');
  t.equal(clean('Arts & Sciences'), 'Arts and Sciences');
  t.equal(cleanText('Artes & Ciencias', 'es', 99), 'Artes y Ciencias');
  t.equal(clean('x'.repeat(500), 40).length, 40);
  t.equal(clean('𝒳é'.repeat(50), 3), 'XéX');
  t.equal(clean("Zoë O'Brien-Łukasz, Jr."), "Zoë O'Brien-Łukasz, Jr.", 'real names stay');
  const started = performance.now();
  clean('<a'.repeat(2_000_000), 4_000);
  t.ok(performance.now() - started < 500, 'hostile text takes no time');
});
