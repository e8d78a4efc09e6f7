import type { Random } from '../sample/random.ts';

/** What the link needs to know of a SIP message. */
export interface SipMessage {
  /** `INVITE`, `BYE`, … of a request; undefined for a response. */
  method: string | undefined;
  /** Of a response. */
  status: number | undefined;
  callId: string;
  /** Method in CSeq: what a response answers. */
  about: string;
  /** User part of a request's URI: the dialled number. */
  user: string;
}

/** Reads a datagram; undefined for what is no SIP message of a call. */
export function readSip(text: string): SipMessage | undefined {
  const callId = /^(?:Call-ID|i)\s*:\s*(\S+)/im.exec(text)?.[1];
  const about = /^CSeq\s*:\s*\d+\s+(\w+)/im.exec(text)?.[1];
  if (callId === undefined || about === undefined) return undefined;
  const response = /^SIP\/2\.0 (\d{3}) /.exec(text);
  const request = /^([A-Z]+) sips?:([^@;> ]*)\S* SIP\/2\.0\r\n/.exec(text);
  if (response === null && request === null) return undefined;
  return {
    method: request?.[1],
    status: response === null ? undefined : Number(response[1]),
    callId,
    about,
    user: request?.[2] ?? '',
  };
}

/**
 * Puts the link's port into the Contact header in place of the carrier's, so that ACK and BYE come to the link as
 * well. Headers only: the length of the body stays right.
 */
export function contactAt(text: string, carrier: string, link: string): string {
  return text.replace(/^(Contact\s*:.*)$/im, (line) => line.replace(carrier, link));
}

export interface Refusal {
  code: number;
  phrase: string;
  /** Seconds; no Retry-After header when left out. */
  retryAfter?: number;
}

/** The answer to an INVITE that the link refuses by itself. */
export function refusalOf(invite: string, { code, phrase, retryAfter }: Refusal): string {
  const header = (name: string) => new RegExp(`^${name}\\s*:.*$`, 'gim');
  const copied = ['Via', 'From', 'Call-ID', 'CSeq'].flatMap((name) => invite.match(header(name)) ?? []);
  const [to = 'To: <sip:unknown>'] = invite.match(header('To')) ?? [];
  const retry = retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`];
  return [
    `SIP/2.0 ${code} ${phrase}`,
    ...copied.map((line) => line.trim()),
    `${to.trim()};tag=link`,
    ...retry,
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
}

/**
 * A broken relative of a response. None of them can be taken for an answer to a request of ours: the Call-ID or the
 * CSeq is missing, unreadable or unknown.
 */
export function garbled(response: string, random: Random): Buffer {
  switch (random.integer(5)) {
    case 0:
      return Buffer.from(Array.from({ length: 1 + random.integer(600) }, () => random.integer(256)));
    case 1:
      return Buffer.from(
        response.slice(0, random.integer(Math.max(1, response.search(/^Call-ID/im)))),
        'latin1',
      );
    case 2:
      return Buffer.from(response.replace(/^CSeq\s*:.*$/im, 'CSeq: many INVITE'), 'latin1');
    case 3:
      return Buffer.from(
        response.replace(/^Call-ID\s*:.*$/im, `Call-ID: stray-${random.integer(1e6)}`),
        'latin1',
      );
    default:
      return Buffer.from(
        response.replace(/^SIP\/2\.0 \d+/, 'SIP/2.0 20x').replace(/^CSeq\s*:.*$/im, 'Content-Length: -12'),
        'latin1',
      );
  }
}
