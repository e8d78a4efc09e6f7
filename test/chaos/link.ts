/**
 * The faulty link between Asterisk and one carrier, as a process of its own: a UDP relay through which all SIP
 * passes. Audio goes past it, since the SDP's addresses are the ends' own.
 *
 *     node link.ts PORT CARRIER_PORT LOG SEED
 *
 * It is told what to do over Node's IPC channel (`LinkCommand`), answers each command with its number, and ends
 * with its parent. Its log (log lines: `LinkFact`) is the truth of what Asterisk sent and got, and when.
 */
import { createSocket, type Socket } from 'node:dgram';
import { createWriteStream } from 'node:fs';
import { seeded } from '../sample/random.ts';
import { contactAt, garbled, type Refusal, readSip, refusalOf, type SipMessage } from './sip.ts';

/** What is wrong with the link. Shares are of messages, 0 to 100 percent; times are in ms. */
export interface LinkFaults {
  cut: boolean;
  loss: number;
  delayMs: number;
  jitterMs: number;
  /** The three below: of responses only, on their way to Asterisk. */
  duplicate: number;
  reorder: number;
  garbage: number;
  /** New INVITEs are answered with this and do not reach the carrier. */
  refuse: Refusal | undefined;
}

export interface LinkCommand {
  number: number;
  /** The link's new state, whole; without it the command only flushes the log. */
  faults?: LinkFaults;
}

/** One message, in JSON, one in a line. Times are epoch milliseconds. */
export interface LinkFact {
  /** When it came to the link. */
  at: number;
  /** When it was passed on; missing when it was lost. */
  outAt?: number;
  /** "out": to the carrier. "in": to Asterisk. */
  way: 'out' | 'in';
  /** Asterisk's SIP port: says which node it was. */
  node: number;
  /** `INVITE`, `BYE`, … or a response's status. */
  what: string;
  /** The CSeq's method. */
  about: string;
  callId: string;
  number?: string;
  /** The link itself refused it, or made this refusal. */
  refused?: true;
}

export const CALM: LinkFaults = {
  cut: false,
  loss: 0,
  delayMs: 0,
  jitterMs: 0,
  duplicate: 0,
  reorder: 0,
  garbage: 0,
  refuse: undefined,
};

/** A reordered message is held back for up to this long, while others pass. */
const HELD_MS = 120;

async function main([port, carrierPort, logFile = '', seed]: string[]): Promise<void> {
  const linkPort = Number(port);
  const carrier = Number(carrierPort);
  const random = seeded(Number(seed));
  const log = createWriteStream(logFile, { flags: 'a' });
  let faults = CALM;
  /** The carrier's side: one socket for each Asterisk node, so that replies find their way back. */
  const inner = new Map<number, Socket>();
  /** Call-IDs that the link refused; their ACKs end here. */
  const refused = new Map<string, Refusal>();
  /** Without reordering, delayed messages keep their order: when the last one leaves, each way. */
  const lastOut = { out: 0, in: 0 };
  const outer = createSocket('udp4');

  const now = () => performance.timeOrigin + performance.now();
  const note = (fact: LinkFact) => log.write(`${JSON.stringify(fact)}\n`);

  /** Passes a message on as the link is now; `send` puts it on the wire. */
  const pass = (fact: LinkFact, mayOvertake: boolean, send: () => void): void => {
    if (faults.cut || random.chance(faults.loss)) return void note(fact);
    const jitter = faults.jitterMs === 0 ? 0 : random.integer(faults.jitterMs);
    const held = mayOvertake && random.chance(faults.reorder) ? 20 + random.integer(HELD_MS - 20) : 0;
    const earliest = fact.at + faults.delayMs + jitter;
    const due = held > 0 ? earliest + held : Math.max(earliest, lastOut[fact.way]);
    if (held === 0) lastOut[fact.way] = due;
    const leave = () => {
      send();
      note({ ...fact, outAt: now() });
    };
    if (due <= fact.at) leave();
    else setTimeout(leave, due - fact.at);
  };

  const toAsterisk = (
    text: string,
    node: number,
    message: SipMessage | undefined,
    isRefusal: boolean,
  ): void => {
    const fact = factOf('in', text, node, message);
    if (isRefusal) fact.refused = true;
    const send = () => outer.send(Buffer.from(text, 'latin1'), node, '127.0.0.1');
    const isResponse = message?.status !== undefined;
    pass(fact, isResponse, send);
    if (!isResponse || faults.cut) return;
    if (random.chance(faults.duplicate)) setTimeout(send, random.integer(HELD_MS));
    if (random.chance(faults.garbage)) outer.send(garbled(text, random), node, '127.0.0.1');
  };

  const factOf = (
    way: 'out' | 'in',
    text: string,
    node: number,
    message: SipMessage | undefined,
  ): LinkFact => {
    const what = message?.method ?? message?.status?.toString() ?? text.slice(0, 20);
    const fact: LinkFact = {
      at: now(),
      way,
      node,
      what,
      about: message?.about ?? '',
      callId: message?.callId ?? '',
    };
    if (message?.method === 'INVITE') fact.number = message.user;
    return fact;
  };

  const innerOf = (node: number): Socket => {
    const known = inner.get(node);
    if (known !== undefined) return known;
    const socket = createSocket('udp4');
    socket.on('message', (datagram) => {
      const text = contactAt(datagram.toString('latin1'), `127.0.0.1:${carrier}`, `127.0.0.1:${linkPort}`);
      toAsterisk(text, node, readSip(text), false);
    });
    inner.set(node, socket);
    return socket;
  };

  /** What the link answers in the carrier's stead: INVITEs while it refuses, and all that follows on those. */
  const refusal = (message: SipMessage): Refusal | undefined => {
    const before = refused.get(message.callId);
    if (before !== undefined || message.method !== 'INVITE' || faults.refuse === undefined) return before;
    if (seen.has(message.callId)) return undefined;
    refused.set(message.callId, faults.refuse);
    return faults.refuse;
  };
  /** INVITEs that the carrier knows; their repetitions are not refused. */
  const seen = new Set<string>();

  outer.on('message', (datagram, { port: node }) => {
    const text = datagram.toString('latin1');
    const message = readSip(text);
    const fact = factOf('out', text, node, message);
    const answer = message === undefined ? undefined : refusal(message);
    if (message === undefined || answer === undefined) {
      if (message?.method === 'INVITE') seen.add(message.callId);
      pass(fact, false, () => innerOf(node).send(datagram, carrier, '127.0.0.1'));
      return;
    }
    pass({ ...fact, refused: true }, false, () => {
      if (message.method !== 'INVITE') return;
      const reply = refusalOf(text, answer);
      toAsterisk(reply, node, readSip(reply), true);
    });
  });

  process.on('message', (command: LinkCommand) => {
    if (command.faults !== undefined) faults = command.faults;
    log.write('', () => process.send?.(command.number));
  });
  process.on('disconnect', () => process.exit());
  // Ctrl-C reaches the whole group; the parent ends us when it is ready to.
  process.on('SIGINT', () => undefined);
  outer.bind(linkPort, '127.0.0.1', () => process.send?.('ready'));
}

if (import.meta.main) await main(process.argv.slice(2));
