/** The plan of a chaos run, its schedule, and the messages that the faulty link makes. */
import t from 'tap';
import { FAULTS, type PlannedFault, planFaults } from '../chaos/faults.ts';
import { leaksBetween, type QuietMoment } from '../chaos/leaks.ts';
import { createPhoneBook } from '../chaos/phones.ts';
import { runSchedule } from '../chaos/schedule.ts';
import { contactAt, garbled, readSip, refusalOf } from '../chaos/sip.ts';
import { seeded } from '../sample/random.ts';
import { behaviourOf } from '../sim/carrier/behaviours.ts';

const parts = { engines: ['office', 'dialer-1'], nodes: 2, trunks: 2, disk: true };
const plan = (seed: number, count = 50, more = {}) =>
  planFaults({ seed, count, parts: { ...parts, ...more }, meanGapMs: 1_000 });

t.test('a seed gives one plan, and every kind of fault is in it', async (t) => {
  t.same(plan(1), plan(1));
  t.notSame(plan(1), plan(2));
  t.equal(plan(3).length, 50);
  t.same(new Set(plan(4).map(({ kind }) => kind)), new Set(Object.keys(FAULTS)));
  t.notOk(
    plan(5, 80, { disk: false }).some(({ kind }) => kind === 'full disk'),
    'no disk, no full disk',
  );
  t.ok(plan(6).every(({ text, lastsMs, gapMs }) => text !== '' && lastsMs >= 0 && gapMs > 0));
});

const fault = (number: number, holds: string[], needs: string[] = []): PlannedFault => ({
  number,
  kind: 'kill PostgreSQL',
  gapMs: 1,
  lastsMs: 1,
  action: { do: 'kill-postgres' },
  holds,
  needs,
  text: '',
});

t.test('a fault whose part is down is put off, and others go first', async (t) => {
  const down = new Set<string>();
  const order: number[] = [];
  const release = Promise.withResolvers<void>();
  const faults = [fault(1, ['a']), fault(2, ['a']), fault(3, ['b'], ['a']), fault(4, ['c'])];
  const done = await runSchedule(faults, {
    signal: new AbortController().signal,
    onFault: ({ number }) => order.push(number),
    async carryOut({ number, holds, needs }) {
      for (const part of [...holds, ...needs]) t.notOk(down.has(part), `${part} is whole`);
      for (const part of holds) down.add(part);
      if (number === 4) release.resolve();
      if (number === 1) await release.promise;
      for (const part of holds) down.delete(part);
    },
  });
  t.same(order.slice(0, 2), [1, 4]);
  t.same(new Set(done.map(({ fault: { number } }) => number)), new Set([1, 2, 3, 4]));
  await t.rejects(
    runSchedule([fault(1, ['a'])], {
      signal: new AbortController().signal,
      onFault: () => undefined,
      carryOut: () => Promise.reject(new Error('it would not start again')),
    }),
    /would not start/,
  );
});

t.test('phones are a mix, each number once', async (t) => {
  const book = createPhoneBook(seeded(9));
  const all = [...book(2_000), ...book(300), ...book(20, 'people')];
  t.equal(new Set(all).size, 2_320);
  t.ok(all.slice(-20).every((phone) => behaviourOf(phone).name === 'person'));
  t.equal(new Set(all.map((phone) => behaviourOf(phone).name)).size, 20);
  t.same(createPhoneBook(seeded(9))(100), createPhoneBook(seeded(9))(100));
});

const INVITE = [
  'INVITE sip:+13035550171@127.0.0.1:5080 SIP/2.0',
  'Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK1',
  'From: <sip:+13035550100@example.com>;tag=a',
  'To: <sip:+13035550171@127.0.0.1>',
  'Contact: <sip:asterisk@127.0.0.1:5060>',
  'Call-ID: one',
  'CSeq: 7 INVITE',
  'Content-Length: 0',
  '\r\n',
].join('\r\n');
const OK = INVITE.replace(/^.*\r\n/, 'SIP/2.0 200 OK\r\n').replace(
  'asterisk@127.0.0.1:5060',
  'carrier@127.0.0.1:5080',
);

t.test('SIP that the link reads and makes', async (t) => {
  t.match(readSip(INVITE), { method: 'INVITE', callId: 'one', about: 'INVITE', user: '+13035550171' });
  t.match(readSip(OK), { method: undefined, status: 200, callId: 'one', about: 'INVITE' });
  t.equal(readSip('\r\n\r\n'), undefined);
  t.match(contactAt(OK, '127.0.0.1:5080', '127.0.0.1:5090'), 'Contact: <sip:carrier@127.0.0.1:5090>');
  t.match(
    contactAt(INVITE, '127.0.0.1:5080', '127.0.0.1:5090'),
    'INVITE sip:+13035550171@127.0.0.1:5080',
    'only there',
  );
  const refusal = refusalOf(INVITE, { code: 429, phrase: 'Too Many Requests', retryAfter: 1 });
  t.match(readSip(refusal), { status: 429, callId: 'one', about: 'INVITE' });
  t.match(refusal, /^Via: .*branch=z9hG4bK1\r\n(.*\r\n)*To: .*;tag=link\r\nRetry-After: 1\r\n/m);
  const random = seeded(5);
  for (let turn = 0; turn < 200; turn += 1) {
    const message = readSip(garbled(OK, random).toString('latin1'));
    t.ok(message === undefined || message.callId !== 'one', 'garbage answers no call of ours');
  }
});

t.test('leaks', async (t) => {
  const moment = (
    rssMib: number,
    fds: number,
    sockets: number,
    connections: number,
    channels: number,
  ): QuietMoment => ({
    processes: [{ name: 'dialer-1', rssMib, fds, sockets }],
    connections,
    channels: [{ node: 'asterisk-1', count: channels }],
  });
  const before = moment(150, 30, 10, 8, 0);
  t.same(leaksBetween(before, moment(250, 40, 20, 12, 0)), []);
  t.match(leaksBetween(before, moment(400, 30, 10, 8, 0)), [{ what: /memory 150 -> 400/ }]);
  t.match(leaksBetween(before, moment(150, 60, 40, 8, 0)), [{ what: /files/ }, { what: /sockets/ }]);
  t.match(leaksBetween(before, moment(150, 30, 10, 60, 0)), [{ what: /60 connections/ }]);
  t.match(leaksBetween(before, moment(150, 30, 10, 8, 3)), [{ what: /3 channels/ }]);
});
