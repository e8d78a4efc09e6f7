import fc from 'fast-check';
import t from 'tap';
import { invitedIn, isAnalyticsBlock, payloadOf, reasonIn } from '../../engine/ari/sip-capture.ts';

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
const response = (start: string, reason: string | undefined): string =>
  [start, 'Call-ID: abc@host', ...(reason === undefined ? [] : [`Reason: ${reason}`]), '', ''].join('\r\n');

t.test('the payload of a HEP 3 packet', async (t) => {
  t.equal(payloadOf(packet(chunk(1, 'x'), chunk(15, 'SIP'), chunk(17, 'y'))), 'SIP');
  t.equal(payloadOf(Buffer.from('hello')), undefined);
  t.equal(payloadOf(packet(chunk(1, 'x'))), undefined);
});

t.test('garbage is nothing, and ends', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      payloadOf(Buffer.concat([Buffer.from('HEP3'), bytes]));
      reasonIn(Buffer.from(bytes).toString('latin1'));
      return true;
    }),
  );
});

t.test('only final failures with a Reason', async (t) => {
  t.same(reasonIn(response('SIP/2.0 603 Network Blocked', REASON)), { callId: 'abc@host', reason: REASON });
  t.equal(reasonIn(response('SIP/2.0 603 Decline', undefined)), undefined);
  t.equal(reasonIn(response('SIP/2.0 200 OK', REASON)), undefined);
  t.equal(reasonIn(response('BYE sip:x SIP/2.0', REASON)), undefined);
});

t.test('the word of analytics', async (t) => {
  t.ok(isAnalyticsBlock(REASON));
  t.notOk(isAnalyticsBlock('Q.850;cause=21;text="Call Rejected"'));
});

t.test('an INVITE, and nothing else, says that a call has left', async (t) => {
  t.equal(invitedIn(response('INVITE sip:+13035550101@carrier SIP/2.0', undefined)), 'abc@host');
  t.equal(invitedIn(response('SIP/2.0 200 OK', undefined)), undefined);
  t.equal(invitedIn(undefined), undefined);
});
