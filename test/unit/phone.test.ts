import fc from 'fast-check';
import t from 'tap';
import { formatForTrunk, mayDial, parsePhone } from '../../engine/domain/phone.ts';

t.test('numbers as people write them', async (t) => {
  for (const [input, e164] of [
    ['303-555-0142', '+13035550142'],
    ['(303) 555-0142', '+13035550142'],
    ['303.555.0142', '+13035550142'],
    ['303/555 0142', '+13035550142'],
    [' 3035550142 ', '+13035550142'],
    ['1 303 555 0142', '+13035550142'],
    ['+1 (720) 555-4299', '+17205554299'],
    ['800-411-7246', '+18004117246'],
    ['+52 55 1234 5678', '+525512345678'],
    ['011 52 55 1234 5678', '+525512345678'],
    ['+44 20 7946 0018', '+442079460018'],
  ] as const)
    t.same(parsePhone(input, 'US'), { ok: true, e164 }, input);
});

t.test('the district’s country decides how a national number is read', async (t) => {
  t.same(parsePhone('55 1234 5678', 'MX'), { ok: true, e164: '+525512345678' });
  t.match(parsePhone('303-555-0142', 'XX'), { ok: false, reason: /country code/ });
});

t.test('every line of 555 passes: the simulated carrier and the sample use them', async (t) => {
  const refused: string[] = [];
  for (const area of ['303', '720', '970', '719', '983'])
    for (let line = 0; line < 10_000; line++) {
      const number = `${area}-555-${String(line).padStart(4, '0')}`;
      if (!parsePhone(number, 'US').ok) refused.push(number);
    }
  t.same(refused, []);
});

t.test('what is no number to call says why', async (t) => {
  for (const [input, reason] of [
    ['', /may have only digits/],
    ['555-0142', /too few or too many digits/],
    ['911', /too few or too many digits/],
    ['12', /too few|too short/],
    ['303-555-01422', /not a number that exists|too few or too many/],
    ['303-555-0142 x12', /extension/],
    ['303-555-0142 ext. 12', /extension/],
    ['303-555-0142;ext=12', /extension/],
    ['303-555-0142#12', /extension/],
    ['303-FLOWERS', /letters/],
    ['none', /letters/],
    ['303-555-0142/303-555-0143', /too long/],
    ['1-1-303-555-0142', /not a number that exists/],
    ['+1 1 303 555 0142', /not a number that exists/],
    ['+1+3035550142', /not a phone number/],
    ['303-911-1234', /not a number that exists/],
    ['303-055-0142', /not a number that exists/],
    ['000-000-0000', /not a number that exists/],
    ['999-999-9999', /not a number that exists/],
    ['900-555-1234', /premium-rate/],
    ['+999 1234 5678', /country code/],
    ['3'.repeat(41), /too long/],
  ] as const) {
    const parsed = parsePhone(input, 'US');
    t.match(parsed, { ok: false, reason }, JSON.stringify(input));
  }
});

t.test('nothing that could leave a dial string is a number', async (t) => {
  for (const input of [
    'PJSIP/3035550142@evil&Local/1@default',
    '3035550142@evil',
    '3035550142&3035550143',
    '3035550142,30,g',
    '3035550142\n',
    '3035550142\r\nVia: x',
    '303555\t0142',
    '303555\u00a00142',
    '\u0663\u0660\u0663\u0665\u0665\u0665\u0660\u0661\u0664\u0662',
    '３０３５５５０１４２',
    '$' + '{SHELL(id)}',
    '"; drop table students; --',
    '=cmd()',
    '<sip:3035550142>',
    'tel:+13035550142',
    '*67 303 555 0142',
    '303-555-0142,,,12',
  ]) {
    const parsed = parsePhone(input, 'US');
    t.equal(parsed.ok, false, JSON.stringify(input));
    if (!parsed.ok) t.notMatch(parsed.reason, /3035550142/, 'the reason keeps the number to itself');
  }
});

t.test('whatever comes in, what comes out is digits', async (t) => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.string({ unit: fc.constantFrom(...'0123456789 ()+-./x#;,*@&\n'), maxLength: 24 }),
    fc
      .tuple(fc.constantFrom('', '+1', '1 ', '+52 ', '+44', '011'), fc.stringMatching(/^[2-9][0-9]{9}$/))
      .map(([a, b]) => a + b),
  );
  let accepted = 0;
  fc.assert(
    fc.property(anything, fc.constantFrom('e164', 'plain', 'national', 'prefix'), (input, format) => {
      const parsed = parsePhone(input, 'US');
      if (!parsed.ok) return;
      accepted++;
      if (!/^\+[1-9][0-9]{6,14}$/.test(parsed.e164)) throw new Error('not E.164');
      if (!/^\+?[0-9]+$/.test(formatForTrunk(parsed.e164, format, 'US', '0111')))
        throw new Error('not dialable');
    }),
    { numRuns: 5_000 },
  );
  t.ok(accepted > 200, `${accepted} of 5,000 were numbers`);
});

t.test('each trunk gets the number its carrier’s way', async (t) => {
  t.equal(formatForTrunk('+13035550142', 'e164', 'US'), '+13035550142');
  t.equal(formatForTrunk('+13035550142', 'plain', 'US'), '13035550142');
  t.equal(formatForTrunk('+13035550142', 'national', 'US'), '3035550142');
  t.equal(formatForTrunk('+18765551234', 'national', 'US'), '8765551234', 'Jamaica is dialled like home');
  t.equal(formatForTrunk('+525512345678', 'national', 'US'), '011525512345678', 'abroad');
  t.equal(formatForTrunk('+442079460018', 'national', 'GB'), '02079460018', 'with its trunk prefix');
  t.equal(formatForTrunk('+13035550142', 'prefix', 'US', '0111'), '011113035550142');
  for (const prefix of ['911', '9111', '112', '91'])
    t.throws(
      () => formatForTrunk('+1112223333', 'prefix', 'US', prefix),
      RangeError,
      `an emergency: ${prefix}`,
    );
});

t.test('what a trunk may dial', async (t) => {
  const anywhere = ['+1', '+44', '+52', '+8', '+9', '+979', '+91'];
  // phone, without prefixes in the United States, with those
  for (const [phone, home, prefixed, what] of [
    ['+13035550142', true, true, 'a person'],
    ['+18005550199', true, true, 'toll-free'],
    ['+18085550123', true, true, 'Hawaii'],
    ['+18765551234', false, true, 'Jamaica has +1 as well'],
    ['+18095550100', false, true, 'the Dominican Republic'],
    ['+14165550123', false, true, 'Canada'],
    ['+17875551234', false, true, 'Puerto Rico has a country code of its own'],
    ['+525512345678', false, true, 'Mexico'],
    ['+442079460018', false, true, 'London'],
    ['+870773123456', false, true, 'a satellite'],
    ['+19005550100', false, false, 'premium rate'],
    ['+13039765555', false, false, 'premium rate by its exchange'],
    ['+13035551212', false, false, 'directory assistance'],
    ['+15005550100', false, false, 'a personal number'],
    ['+448451234567', false, false, 'shared cost'],
    ['+447012345678', false, false, 'a personal number in Britain'],
    ['+443331234567', false, false, 'a corporate number'],
    ['+979123456789', false, false, 'international premium rate'],
    ['+13039110142', false, false, 'an exchange that is a service'],
    ['+19112345678', false, false, '911 as an area code'],
    ['+911112345678', false, false, 'would begin with 911'],
    ['+17005550100', false, false, 'a carrier’s own'],
    ['+1911', false, false, 'an emergency number'],
    ['911', false, false, 'an emergency number'],
    ['112', false, false, 'an emergency number'],
    ['+1611', false, false, 'a short number'],
    ['13035550142', false, false, 'not E.164'],
    ['+13035550142&Local/1', false, false, 'not a number'],
  ] as const) {
    t.equal(mayDial(phone, { allowedPrefixes: null, country: 'US' }), home, `${what}, at home`);
    t.equal(mayDial(phone, { allowedPrefixes: anywhere, country: 'US' }), prefixed, `${what}, with prefixes`);
  }
  const denver = { allowedPrefixes: ['+1303', '+1720'], country: 'US' };
  t.ok(mayDial('+17205550142', denver));
  t.notOk(mayDial('+12125550142', denver), 'prefixes narrow as well');
  t.ok(mayDial('+442079460018', { allowedPrefixes: null, country: 'GB' }));
  t.notOk(mayDial('+13035550142', { allowedPrefixes: null, country: 'GB' }));
  t.notOk(mayDial('+13035550142', { allowedPrefixes: [], country: 'US' }), 'no prefix, no call');
});

t.test('only E.164 is formatted', async (t) => {
  for (const input of [
    '3035550142',
    '+1303555014a',
    '+1303555014\n',
    '',
    '+0123456789',
    '+13035550142&Local/1',
  ])
    for (const format of ['e164', 'plain', 'national'] as const)
      t.throws(() => formatForTrunk(input, format, 'US'), RangeError, JSON.stringify(input));
  t.throws(() => formatForTrunk('+13035550142', 'national', 'XX'), RangeError);
});
