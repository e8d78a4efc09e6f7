import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/**
 * What SIP says and ARI does not: that an INVITE has left, and the Reason header of a refusal. Asterisk sends
 * copies of all SIP messages as HEP version 3 datagrams (res_hep_pjsip, dialplan/hep.conf).
 *
 * Sources: the HEP 3 specification (chunks of vendor, type, length, value; type 15 is the payload);
 * RFC 3326 for the header.
 */
export interface SipCapture {
  /** Resolves when the INVITE of this call has been seen, in the last minute or later. */
  inviteSeen(callId: string): Promise<void>;
  /** The Reason header of a call that was refused in the last minute; undefined if none was seen. */
  reasonOf(callId: string): string | undefined;
  close(): Promise<void>;
}

const PAYLOAD = 0x000f;
const KEEP_MS = 60_000;

/** What is known of a call by its Call-ID. */
interface Seen {
  at: number;
  invite: PromiseWithResolvers<void>;
  reason?: string;
}

/** Listens on `host:port` (UDP). Throws when the port is taken. */
export async function openSipCapture(
  { host, port }: { host: string; port: number },
  now: () => number,
  onError: (error: Error) => void,
): Promise<SipCapture> {
  const calls = new Map<string, Seen>();
  const call = (callId: string): Seen => {
    const at = now();
    // A Map keeps the order of insertion: the oldest come first.
    for (const [id, { at: seenAt }] of calls) {
      if (at - seenAt < KEEP_MS) break;
      calls.delete(id);
    }
    const known = calls.get(callId) ?? { at, invite: Promise.withResolvers<void>() };
    calls.set(callId, known);
    return known;
  };
  const socket = createSocket('udp4');
  socket.on('message', (datagram) => {
    const message = payloadOf(datagram);
    const invited = invitedIn(message);
    if (invited !== undefined) call(invited).invite.resolve();
    const refused = reasonIn(message);
    if (refused !== undefined) call(refused.callId).reason = refused.reason;
  });
  socket.bind(port, host);
  await once(socket, 'listening');
  socket.on('error', onError);
  return {
    inviteSeen: (callId) => call(callId).invite.promise,
    reasonOf: (callId) => calls.get(callId)?.reason,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** The SIP message inside a HEP 3 datagram; undefined for anything else. */
export function payloadOf(datagram: Buffer): string | undefined {
  if (datagram.length < 6 || datagram.toString('latin1', 0, 4) !== 'HEP3') return undefined;
  const end = Math.min(datagram.length, datagram.readUInt16BE(4));
  for (let offset = 6; offset + 6 <= end; ) {
    const length = datagram.readUInt16BE(offset + 4);
    if (length < 6 || offset + length > end) return undefined;
    const isPayload = datagram.readUInt16BE(offset) === 0 && datagram.readUInt16BE(offset + 2) === PAYLOAD;
    if (isPayload) return datagram.toString('latin1', offset + 6, offset + length);
    offset += length;
  }
  return undefined;
}

const CALL_ID = /^(?:Call-ID|i)\s*:\s*(\S+)/im;

/** Call-ID of an INVITE; undefined for any other message. */
export function invitedIn(message: string | undefined): string | undefined {
  return message?.startsWith('INVITE ') ? CALL_ID.exec(message)?.[1] : undefined;
}

/** Call-ID and Reason of a final failure response; undefined for any other message. */
export function reasonIn(message: string | undefined): { callId: string; reason: string } | undefined {
  if (message === undefined || !/^SIP\/2\.0 [3-6]\d\d /.test(message)) return undefined;
  const head = message.slice(0, message.indexOf('\r\n\r\n'));
  const callId = CALL_ID.exec(head)?.[1];
  const reason = /^Reason\s*:\s*(.+?)\s*$/im.exec(head)?.[1];
  return callId === undefined || reason === undefined ? undefined : { callId, reason };
}

/** True for the Reason of a call that analytics blocked: 603+ (ATIS-1000099; 47 CFR 64.1200(k)(9)). */
export const isAnalyticsBlock = (reason: string): boolean => /\bv=analytics\d*\b/i.test(reason);
