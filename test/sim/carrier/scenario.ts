import { firstKeyMs, soundFile } from './audio.ts';
import { type Behaviour, behaviours, type Ending, person, type Sound } from './behaviours.ts';

/** Milliseconds after which a call that nobody ends is hung up, so that a long-lived carrier forgets it. */
const longestCallMs = 900_000;

/** RFC 3261's Timer B: the caller gives up an INVITE that nobody answers. */
const timerBMs = 32_000;

/**
 * The SIPp scenario (3.6.1) of the simulated carrier: one instance takes every call and branches on
 * the dialled number. SIPp quirks that shape it:
 *
 * - A message that arrives while SIPp pauses ends the call, so every wait is a `recv` with a time-out
 *   for the message that may interrupt it (CANCEL before the answer, BYE after it).
 * - A message that finds SIPp at a step that does not wait (`nop`) ends the call as well. So facts
 *   are logged before sending, and a `send` is followed by the `recv` of what it brings, by its own
 *   `next` where that is elsewhere.
 * - `rtp_stream` gives each call a socket of its own and scales to hundreds of calls, but cannot send
 *   RFC 4733 digits. `play_pcap_audio` can, from the one media port; but each playing call holds a
 *   raw socket that gets a copy of every UDP packet on the machine, so it is for key presses only.
 * - Both kinds of port are bound, so that the engine's audio is taken and not answered by ICMP.
 *
 * @returns the text of the XML file. Sound files are named relative to SIPp's working directory.
 */
export function scenarioXml(): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<scenario name="simulated carrier">
${opening}
${behaviours.map(branch).join('\n')}
${jump(`${person.name}-start`)}
${[...behaviours, person].map(play).join('\n')}
${closing}
</scenario>
`;
}

/** SIPp has no jump as such: a `nop` with `next`. */
const jump = (to: string) => `  <nop next="${to}"/>`;
const mark = (name: string) => `  <label id="${name}"/>`;

/** One line of the carrier's log, which log.ts reads. `[timestamp]` ends with the epoch in seconds. */
const note = (fact: string) => `<log message="[timestamp]|${fact}|[call_id]"/>`;

/** Our tag in To; the same in every response to one INVITE. */
const tag = ';tag=[pid]c[call_number]';

interface ResponseOptions {
  toTag?: string;
  cseq?: string;
  header?: string;
  body?: string;
  /** Repeats it until the ACK. */
  retrans?: boolean;
  /** Label to go on at; the following step when left out. */
  next?: string;
}

function respond(status: string, options: ResponseOptions): string {
  const content =
    options.body === undefined
      ? 'Content-Length: 0\n'
      : `Content-Type: application/sdp\nContent-Length: [len]\n\n${options.body}`;
  const attributes = `${options.retrans ? ' retrans="500"' : ''}${options.next === undefined ? '' : ` next="${options.next}"`}`;
  return `  <send${attributes}><![CDATA[
SIP/2.0 ${status}
[last_Via:]
[last_From:]
[last_To:]${options.toTag ?? ''}
[last_Call-ID:]
${options.cseq ?? '[last_CSeq:]'}
${options.header === undefined ? '' : `${options.header}\n`}Contact: <sip:carrier@[local_ip]:[local_port]>
${content}
]]></send>`;
}

const sendsKeys = (sound: Sound) => sound.startsWith('keys-');

function sdp(sound: Sound | undefined): string {
  const port = sound !== undefined && sendsKeys(sound) ? '[media_port]' : '[rtpstream_audio_port]';
  return `v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio ${port} RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv`;
}

function speak(sound: Sound | undefined): string {
  if (sound === undefined) return '';
  if (sendsKeys(sound)) return `<exec play_pcap_audio="${soundFile(sound)}"/>`;
  return `<exec rtp_stream="${soundFile(sound)},1,0,PCMU/8000"/>`;
}

const opening = `  <recv request="OPTIONS" optional="true" next="options"/>
  <recv request="INVITE">
    <action>
      <ereg regexp="INVITE sips?:([^@;> ]*)" search_in="msg" assign_to="line,number"/>
      <ereg regexp="sips?:([^@;>]*)" search_in="hdr" header="From:" assign_to="uri,caller"/>
      <ereg regexp="sips?:[^>]*" search_in="hdr" header="Contact:" assign_to="contact"/>
      <ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="cseq"/>
      <ereg regexp="[^ ].*" search_in="hdr" header="To:" assign_to="called"/>
      <ereg regexp="[^ ].*" search_in="hdr" header="From:" assign_to="calling"/>
      ${note('invite|[$number]|[$caller]')}
    </action>
  </recv>
  <Reference variables="line,uri"/>`;

function branch({ name, digits }: Behaviour): string {
  const matched = `is-${name}`;
  return `  <nop>
    <action><ereg regexp="(${digits.join('|')})$" search_in="var" variable="number" assign_to="${matched}"/></action>
  </nop>
  <nop next="${name}-start" test="${matched}"/>`;
}

function play({ name, before, ending }: Behaviour): string {
  const start = mark(`${name}-start`);
  if (before === undefined) return `${start}\n${end(name, ending)}`;
  const provisional =
    before.code === 180
      ? respond('180 Ringing', { toTag: tag })
      : respond('183 Session Progress', { toTag: tag, body: sdp(before.speaks) });
  const sound = before.speaks === undefined ? '' : `\n  <nop><action>${speak(before.speaks)}</action></nop>`;
  const wait =
    before.ms === 0
      ? ''
      : `\n  <recv request="CANCEL" timeout="${before.ms}" ontimeout="${name}-then" next="cancelled"/>\n${mark(`${name}-then`)}`;
  return `${start}\n${provisional}${sound}${wait}\n${end(name, ending)}`;
}

const failure = { toTag: tag, retrans: true, next: 'await-ack' };

function end(name: string, ending: Ending): string {
  switch (ending.kind) {
    case 'answer':
      return `${ending.garblesFirst ? `${garbage}\n` : ''}${answer(name, ending.speaks, ending.hangsUpAfterMs)}`;
    case 'bye-before-ack':
      return byeBeforeAck;
    case 'refuse':
      return `  <nop><action>${note(`failed|${ending.code}`)}</action></nop>
${respond(`${ending.code} ${ending.phrase}`, { ...failure, ...(ending.header === undefined ? {} : { header: ending.header }) })}`;
    case 'ring': {
      const next = ending.answersCancel ? 'cancel-crossed' : 'cancelled';
      return `  <recv request="CANCEL" timeout="${longestCallMs}" ontimeout="end" next="${next}"/>`;
    }
    case 'ignore':
      return `  <recv request="CANCEL" timeout="${timerBMs}" ontimeout="given-up" next="cancelled"/>`;
  }
}

const bye = (from: string, to: string) => `BYE [$contact] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: ${from}
To: ${to}
Call-ID: [call_id]
CSeq: 1 BYE
Max-Forwards: 70
Content-Length: 0
`;

/**
 * The person picked up and hung up: the log says so before either message leaves. The BYE is sent again by hand,
 * since the ACK would end its repetitions.
 */
const byeBeforeAck = `  <nop><action>${note('answered')}</action></nop>
  <nop><action>${note('bye-sent')}</action></nop>
${respond('200 OK', { toTag: tag, body: sdp(undefined) })}
${mark('bye-before-ack-again')}
  <send><![CDATA[
${bye(`[$called]${tag}`, '[$calling]')}
]]></send>
  <recv request="ACK" optional="true"/>
  <recv response="481" optional="true" next="end"/>
  <recv response="200" timeout="500" ontimeout="bye-before-ack-again" next="end"/>`;

/** Headers that cannot be read; the second one is cut off in the middle. */
const garbage = `  <send><![CDATA[
SIP/2.0 183 Perhaps
[last_Via:]
[last_Call-ID:]
CSeq: many INVITE
Content-Length: -7

]]></send>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
To: <sip:
]]></send>`;

/** A CANCEL that crosses our 200 gets its own 200 and changes nothing; the engine's BYE follows. */
function answer(name: string, speaks: Sound | undefined, hangsUpAfterMs = longestCallMs): string {
  const untilBye =
    hangsUpAfterMs === 0
      ? jump('hang-up')
      : `  <recv request="BYE" timeout="${hangsUpAfterMs}" ontimeout="hang-up" next="bye-received"/>`;
  // The digits are in the sound, so the log says when they start.
  const pressing =
    speaks === undefined || !sendsKeys(speaks)
      ? ''
      : `  <recv request="BYE" timeout="${firstKeyMs}" ontimeout="${name}-press" next="bye-received"/>
${mark(`${name}-press`)}
  <nop><action>${note(`pressed|${speaks.slice('keys-'.length)}`)}</action></nop>
`;
  return `${respond('200 OK', { toTag: tag, body: sdp(speaks), retrans: true })}
${mark(`${name}-acknowledge`)}
  <recv request="CANCEL" optional="true" next="${name}-late-cancel"/>
  <recv request="ACK">
    <action>
      <ereg regexp="[^ ].*" search_in="hdr" header="To:" assign_to="local"/>
      <ereg regexp="[^ ].*" search_in="hdr" header="From:" assign_to="remote"/>
      ${note('answered')}
      ${speak(speaks)}
    </action>
  </recv>
${pressing}${untilBye}
${mark(`${name}-late-cancel`)}
${respond('200 OK', { toTag: tag, next: `${name}-acknowledge` })}`;
}

const closing = `${mark('options')}
${respond('200 OK', { toTag: tag, next: 'end' })}
${mark('cancelled')}
  <nop><action>${note('cancelled')}</action></nop>
${respond('200 OK', { toTag: tag })}
${respond('487 Request Terminated', { toTag: tag, cseq: 'CSeq: [$cseq] INVITE' })}
${mark('await-ack')}
  <recv request="ACK" timeout="32000" ontimeout="end" next="end"/>
${mark('cancel-crossed')}
${respond('200 OK', { toTag: tag })}
${respond('200 OK', { toTag: tag, cseq: 'CSeq: [$cseq] INVITE', body: sdp(undefined), retrans: true })}
  <recv request="ACK" timeout="32000" ontimeout="end"><action>${note('answered')}</action></recv>
  <recv request="BYE" timeout="${longestCallMs}" ontimeout="end" next="bye-received"/>
${mark('given-up')}
  <nop next="end"><action>${note('given-up')}</action></nop>
${mark('bye-received')}
  <nop><action>${note('bye-received')}</action></nop>
${respond('200 OK', { next: 'end' })}
${mark('hang-up')}
  <nop><action>${note('bye-sent')}</action></nop>
  <send retrans="500"><![CDATA[
${bye('[$local]', '[$remote]')}
]]></send>
  <recv request="BYE" optional="true" next="bye-crossing"/>
  <recv response="481" optional="true" next="end"/>
  <recv response="200" timeout="32000" ontimeout="end" next="end"/>
${mark('bye-crossing')}
${respond('200 OK', {})}
${mark('end')}
  <nop/>`;
