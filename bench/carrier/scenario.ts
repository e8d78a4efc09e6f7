/**
 * The carrier of the benchmark: the same answers as three behaviours of test/sim/carrier, by the same last two
 * digits and in the same log, for as little CPU per call as SIPp can do it with: it matches a number three
 * times instead of twenty, sends no audio and opens no socket for a call.
 */

const tag = ';tag=[pid]c[call_number]';
/** Longer than any run: a call that nobody ends is hung up by nobody. */
const longestMs = 3_600_000;

const note = (fact: string) => `<log message="[timestamp]|${fact}|[call_id]"/>`;
const mark = (name: string) => `  <label id="${name}"/>`;

function respond(
  status: string,
  { toTag = tag, cseq = '[last_CSeq:]', body = '', attributes = '' } = {},
): string {
  const content =
    body === '' ? 'Content-Length: 0\n' : `Content-Type: application/sdp\nContent-Length: [len]\n\n${body}`;
  return `  <send${attributes}><![CDATA[
SIP/2.0 ${status}
[last_Via:]
[last_From:]
[last_To:]${toTag}
[last_Call-ID:]
${cseq}
Contact: <sip:carrier@[local_ip]:[local_port]>
${content}
]]></send>`;
}

const sdp = (mediaPort: string) => `v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio ${mediaPort} RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=ptime:20
a=sendrecv`;

const branch = (digits: string, to: string) => `  <nop>
    <action><ereg regexp="${digits}$" search_in="var" variable="number" assign_to="is-${to}"/></action>
  </nop>
  <nop next="${to}" test="is-${to}"/>`;

/**
 * The SIPp scenario (3.6.1): numbers that end in 71 are busy, those in 72 ring until CANCEL, all others answer
 * at once and stay until BYE.
 *
 * @param mediaPort where the engine's audio goes, for all calls; SIPp's own port when left out, which it binds
 *   and never reads.
 */
export function benchScenario(mediaPort?: number): string {
  const answer = respond('200 OK', {
    body: sdp(mediaPort === undefined ? '[media_port]' : String(mediaPort)),
    attributes: ' retrans="500"',
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="carrier of the benchmark">
  <recv request="OPTIONS" optional="true" next="options"/>
  <recv request="INVITE">
    <action>
      <ereg regexp="INVITE sips?:([^@;> ]*)" search_in="msg" assign_to="line,number"/>
      <ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="cseq"/>
      ${note('invite|[$number]|')}
    </action>
  </recv>
  <Reference variables="line"/>
${branch('71', 'busy')}
${branch('72', 'rings')}
${answer}
  <recv request="ACK">
    <action>${note('answered')}</action>
  </recv>
  <recv request="BYE" timeout="${longestMs}" ontimeout="end">
    <action>${note('bye-received')}</action>
  </recv>
${respond('200 OK', { toTag: '', attributes: ' next="end"' })}
${mark('busy')}
  <nop><action>${note('failed|486')}</action></nop>
${respond('486 Busy Here', { attributes: ' retrans="500" next="await-ack"' })}
${mark('rings')}
${respond('180 Ringing')}
  <recv request="CANCEL" timeout="${longestMs}" ontimeout="end">
    <action>${note('cancelled')}</action>
  </recv>
${respond('200 OK')}
${respond('487 Request Terminated', { cseq: 'CSeq: [$cseq] INVITE' })}
${mark('await-ack')}
  <recv request="ACK" timeout="32000" ontimeout="end" next="end"/>
${mark('options')}
${respond('200 OK')}
${mark('end')}
  <nop/>
</scenario>
`;
}
