import { createSocket, type Socket } from 'node:dgram';

/**
 * What SIP says and ARI does not: that an INVITE has left, and the words of a refusal. Asterisk sends copies of
 * all SIP messages as HEP version 3 datagrams (res_hep_pjsip, dialplan/hep.conf).
 *
 * Sources: the HEP 3 specification (chunks of vendor, type, length, value; type 15 is the payload); RFC 3326
 * for Reason, RFC 3261 for Retry-After and Warning.
 */
export interface SipCapture {
  /** Copies are received. Without them nothing below is ever known. */
  readonly listening: boolean;
  /**
   * Resolves when the INVITE of this call has been seen, in the last minute or later, with the time of its first
   * copy (monotonic ms); at once, with the time now, while not listening.
   */
  inviteSeen(callId: string): Promise<number>;
  /** The final failure response of a call in the last minute; undefined if none was seen. */
  refusalOf(callId: string): Refusal | undefined;
  close(): Promise<void>;
}

/** A final failure response to an INVITE. Headers that are absent are empty. */
export interface Refusal {
  code: number;
  phrase: string;
  reason: string;
  warning: string;
  retryAfter: string;
}

const PAYLOAD = 0x000f;
const KEEP_MS = 60_000;
/** Another engine of this machine may hold the address; when it dies it is ours. */
const RETRY_MS = 1_000;
/** Copies wait here while the engine is busy: 4 MiB are some 4,000 messages. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** What is known of a call by its Call-ID. */
interface Seen {
  at: number;
  invite: PromiseWithResolvers<number>;
  refusal?: Refusal;
}

/**
 * Listens on `host:port` (UDP). Where the address is taken it tries again each second, and `onTrouble` hears of
 * it once.
 */
export function openSipCapture(
  { host, port }: { host: string; port: number },
  now: () => number,
  onTrouble: (error: Error) => void,
): SipCapture {
  const calls = new Map<string, Seen>();
  let socket: Socket | undefined;
  let listening = false;
  let told = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const call = (callId: string): Seen => {
    const at = now();
    // A Map keeps the order of insertion: the oldest come first.
    for (const [id, { at: seenAt }] of calls) {
      if (at - seenAt < KEEP_MS) break;
      calls.delete(id);
    }
    const known = calls.get(callId) ?? { at, invite: Promise.withResolvers<number>() };
    calls.set(callId, known);
    return known;
  };
  const onDatagram = (datagram: Buffer): void => {
    const message = payloadOf(datagram);
    const invited = invitedIn(message);
    if (invited !== undefined) call(invited).invite.resolve(now());
    const refused = refusalIn(message);
    if (refused !== undefined) call(refused.callId).refusal = refused.refusal;
  };
  const open = (): void => {
    const opening = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
    socket = opening;
    opening.on('message', onDatagram);
    opening.on('listening', () => {
      listening = true;
      told = false;
    });
    opening.on('error', (error) => {
      listening = false;
      if (!told) onTrouble(error);
      told = true;
      opening.close();
      if (!closed) timer = setTimeout(open, RETRY_MS);
    });
    opening.bind(port, host);
  };
  open();
  return {
    get listening() {
      return listening;
    },
    inviteSeen: (callId) => (listening ? call(callId).invite.promise : Promise.resolve(now())),
    refusalOf: (callId) => calls.get(callId)?.refusal,
    close: () => {
      closed = true;
      clearTimeout(timer);
      // One that failed is closed already.
      return new Promise((resolve) => (listening ? socket?.close(() => resolve()) : resolve()));
    },
  };
}

/** The SIP message inside a HEP 3 datagram, if it is one that we read; undefined for anything else. */
export function payloadOf(datagram: Buffer): string | undefined {
  if (datagram.length < 6 || datagram.toString('latin1', 0, 4) !== 'HEP3') return undefined;
  const end = Math.min(datagram.length, datagram.readUInt16BE(4));
  for (let offset = 6; offset + 6 <= end; ) {
    const length = datagram.readUInt16BE(offset + 4);
    if (length < 6 || offset + length > end) return undefined;
    const isPayload = datagram.readUInt16BE(offset) === 0 && datagram.readUInt16BE(offset + 2) === PAYLOAD;
    if (isPayload) {
      const message = datagram.subarray(offset + 6, offset + length);
      return isRead(message) ? message.toString('latin1') : undefined;
    }
    offset += length;
  }
  return undefined;
}

/** An INVITE or a final failure. Most messages are neither, and are not worth a string. */
function isRead(message: Buffer): boolean {
  if (message.length < 9) return false;
  if (message[0] === INVITE[0]) return message.subarray(0, INVITE.length).equals(INVITE);
  const status = message[STATUS.length] ?? 0;
  return status >= 0x33 && status <= 0x36 && message.subarray(0, STATUS.length).equals(STATUS);
}
const INVITE = Buffer.from('INVITE ');
const STATUS = Buffer.from('SIP/2.0 ');

const CALL_ID = /^(?:Call-ID|i)\s*:\s*(\S+)/im;

/** Call-ID of an INVITE; undefined for any other message. */
export function invitedIn(message: string | undefined): string | undefined {
  return message?.startsWith('INVITE ') ? CALL_ID.exec(message)?.[1] : undefined;
}

/** Call-ID and contents of a final failure response to an INVITE; undefined for any other message. */
export function refusalIn(message: string | undefined): { callId: string; refusal: Refusal } | undefined {
  const [, code, phrase = ''] = /^SIP\/2\.0 ([3-6]\d\d) ?([^\r\n]*)/.exec(message ?? '') ?? [];
  if (message === undefined || code === undefined) return undefined;
  const head = message.slice(0, message.indexOf('\r\n\r\n'));
  const callId = CALL_ID.exec(head)?.[1];
  if (callId === undefined || !/^CSeq\s*:\s*\d+\s+INVITE/im.test(head)) return undefined;
  const header = (name: string) => new RegExp(`^${name}\\s*:\\s*(.+?)\\s*$`, 'im').exec(head)?.[1] ?? '';
  return {
    callId,
    refusal: {
      code: Number(code),
      phrase,
      reason: header('Reason'),
      warning: header('Warning'),
      retryAfter: header('Retry-After'),
    },
  };
}
