import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import { invitedIn, openSipCapture, payloadOf, refusalIn } from '../../engine/ari/sip-capture.ts';
import { freePorts } from '../../local/ports.ts';

const chunk = (type: number, value: string): Buffer => {
  const header = Buffer.alloc(6);
  header.writeUInt16BE(type, 2);
  header.writeUInt16BE(6 + value.length, 4);
  return Buffer.concat([header, Buffer.from(value, 'latin1')]);
};
const packet = (...chunks: Buffer[]): Buffer => {
  const body = Buffer.concat(chunks);
  const head = Buffer.alloc(6);
  head.write('HEP3');
  head.writeUInt16BE(6 + body.length, 4);
  return Buffer.concat([head, body]);
};
const REASON = 'Q.850;cause=21;text="v=analytics1;url=https://redress.example;email=r@redress.example"';
const response = (start: string, headers: Record<string, string> = {}): string =>
  [
    start,
    'Call-ID: abc@host',
    'CSeq: 1 INVITE',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n');

t.test('the payload of a HEP 3 packet', async (t) => {
  const invite = 'INVITE sip:1@carrier SIP/2.0';
  t.equal(payloadOf(packet(chunk(1, 'x'), chunk(15, invite), chunk(17, 'y'))), invite);
  t.equal(payloadOf(packet(chunk(15, 'SIP/2.0 200 OK'))), undefined, 'of no use to us');
  t.equal(payloadOf(Buffer.from('hello')), undefined);
  t.equal(payloadOf(packet(chunk(1, 'x'))), undefined);
});

t.test('garbage is nothing, and ends', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      payloadOf(Buffer.concat([Buffer.from('HEP3'), bytes]));
      refusalIn(Buffer.from(bytes).toString('latin1'));
      return true;
    }),
  );
});

t.test('the words of a final failure', async (t) => {
  const empty = { reason: '', warning: '', retryAfter: '' };
  t.same(refusalIn(response('SIP/2.0 603 Network Blocked', { Reason: REASON })), {
    callId: 'abc@host',
    refusal: { ...empty, code: 603, phrase: 'Network Blocked', reason: REASON },
  });
  t.same(
    refusalIn(response('SIP/2.0 503 CPS limit exceeded', { 'Retry-After': '2', Warning: '399 x "slow"' })),
    {
      callId: 'abc@host',
      refusal: {
        ...empty,
        code: 503,
        phrase: 'CPS limit exceeded',
        retryAfter: '2',
        warning: '399 x "slow"',
      },
    },
  );
  t.match(refusalIn(response('SIP/2.0 486')), { refusal: { ...empty, code: 486, phrase: '' } });
  t.equal(refusalIn(response('SIP/2.0 200 OK', { Reason: REASON })), undefined);
  t.equal(refusalIn(response('BYE sip:x SIP/2.0', { Reason: REASON })), undefined);
  t.equal(refusalIn(response('SIP/2.0 404 x').replace('1 INVITE', '1 OPTIONS')), undefined);
});

t.test('an INVITE, and nothing else, says that a call has left', async (t) => {
  t.equal(invitedIn(response('INVITE sip:+13035550101@carrier SIP/2.0')), 'abc@host');
  t.equal(invitedIn(response('SIP/2.0 200 OK')), undefined);
  t.equal(invitedIn(undefined), undefined);
});

t.test('copies are taken, and an address that another engine held is taken when it is free', async (t) => {
  const [port = 0] = await freePorts(1);
  const other = createSocket('udp4');
  other.bind(port, '127.0.0.1');
  await once(other, 'listening');
  let troubles = 0;
  const capture = openSipCapture(
    { host: '127.0.0.1', port },
    () => performance.now(),
    () => troubles++,
  );
  t.teardown(() => capture.close());
  await until(() => troubles === 1);
  t.notOk(capture.listening);
  await capture.inviteSeen('x');
  other.close();
  await until(() => capture.listening);

  const sender = createSocket('udp4');
  t.teardown(() => sender.close());
  let seen = false;
  const invite = capture.inviteSeen('abc@host').then(() => {
    seen = true;
  });
  sender.send(packet(chunk(15, response('SIP/2.0 486 Busy Here'))), port, '127.0.0.1');
  await until(() => capture.refusalOf('abc@host')?.code === 486);
  t.notOk(seen);
  sender.send(packet(chunk(15, response('INVITE sip:1@carrier SIP/2.0'))), port, '127.0.0.1');
  await invite;
});

async function until(check: () => boolean, deadlineMs = 5_000): Promise<void> {
  for (const deadline = Date.now() + deadlineMs; !check(); await new Promise((done) => setTimeout(done, 20)))
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${check}`);
}
