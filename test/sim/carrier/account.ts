import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';

/** A request as the carrier got it, with what it said to it. */
export interface SipRequest {
  method: string;
  /** The user part of the request's address: of an INVITE the dialled number. */
  number: string;
  /** The user part of From, and of P-Asserted-Identity if there is one. */
  from: string;
  asserted: string | undefined;
  /** Of a REGISTER: seconds; 0 takes the registration away. */
  expires: number | undefined;
  /** Whether it held credentials, and the answer's code; undefined where a request has no answer (ACK). */
  credentials: boolean;
  answered: number | undefined;
}

export interface AccountCarrier {
  readonly port: number;
  readonly requests: readonly SipRequest[];
  /** From now on only these credentials are right. */
  setSecret(secret: string): void;
  stop(): void;
}

/**
 * A carrier that wants user and password, which SIPp's one scenario for all calls cannot: over UDP it challenges
 * each INVITE (407) and REGISTER (401), checks the digest (RFC 2617, MD5), and answers calls without sending
 * audio. It answers every OPTIONS. The dialled number does not matter.
 */
export async function startAccountCarrier(account: {
  user: string;
  secret: string;
}): Promise<AccountCarrier> {
  let { secret } = account;
  const nonce = randomBytes(8).toString('hex');
  const requests: SipRequest[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (message, peer) => {
    const request = parse(message.toString());
    if (request === undefined) return;
    const challenged = request.method === 'INVITE' || request.method === 'REGISTER';
    const allowed = !challenged || digestIsRight(request, { ...account, secret, nonce });
    const code =
      request.method === 'ACK' ? undefined : allowed ? 200 : request.method === 'INVITE' ? 407 : 401;
    requests.push(describe(request, code));
    if (code !== undefined) answer(request, code, peer);
  });
  const answer = (request: Parsed, code: number, peer: RemoteInfo) => {
    const { method, header } = request;
    const sdp = method === 'INVITE' && code === 200 ? SDP : '';
    const digest = `Digest realm="carrier", nonce="${nonce}", algorithm=MD5, qop="auth"`;
    const to = header('To');
    const lines = [
      `SIP/2.0 ${code} ${code === 200 ? 'OK' : 'Who are you'}`,
      ...request.all('Via').map((via) => `Via: ${via}`),
      `From: ${header('From')}`,
      `To: ${to.includes(';tag=') ? to : `${to};tag=carrier`}`,
      `Call-ID: ${header('Call-ID')}`,
      `CSeq: ${header('CSeq')}`,
      ...(code === 407 ? [`Proxy-Authenticate: ${digest}`] : []),
      ...(code === 401 ? [`WWW-Authenticate: ${digest}`] : []),
      ...(method === 'REGISTER' && code === 200 ? [`Contact: ${header('Contact')};expires=300`] : []),
      ...(sdp === '' ? [] : [`Contact: <sip:127.0.0.1:${port}>`, 'Content-Type: application/sdp']),
      `Content-Length: ${sdp.length}`,
    ];
    socket.send(`${lines.join('\r\n')}\r\n\r\n${sdp}`, peer.port, peer.address);
  };
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  return {
    port,
    requests,
    setSecret: (changed) => {
      secret = changed;
    },
    stop: () => socket.close(),
  };
}

/** Audio to the port of discard: it is not looked at. */
const SDP = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
  'm=audio 9 RTP/AVP 0\r\n',
].join('\r\n');

interface Parsed {
  method: string;
  uri: string;
  header(name: string): string;
  all(name: string): string[];
}

function parse(message: string): Parsed | undefined {
  const [head = ''] = message.split('\r\n\r\n');
  const [start = '', ...lines] = head.split('\r\n');
  const [, method, uri] = /^([A-Z]+) (\S+) SIP\/2\.0$/.exec(start) ?? [];
  if (method === undefined || uri === undefined) return undefined;
  const all = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  return { method, uri, all, header: (name) => all(name)[0] ?? '' };
}

const credentialsOf = ({ header }: Parsed) => header('Authorization') || header('Proxy-Authorization');
const userOf = (address: string) => /sips?:([^@>;]*)@/.exec(address)?.[1] ?? '';

function describe(request: Parsed, answered: number | undefined): SipRequest {
  const { method, uri, header } = request;
  const asserted = header('P-Asserted-Identity');
  return {
    method,
    number: userOf(uri),
    from: userOf(header('From')),
    asserted: asserted === '' ? undefined : userOf(asserted),
    expires: header('Expires') === '' ? undefined : Number(header('Expires')),
    credentials: credentialsOf(request) !== '',
    answered,
  };
}

const md5 = (...parts: string[]) => createHash('md5').update(parts.join(':')).digest('hex');

function digestIsRight(request: Parsed, account: { user: string; secret: string; nonce: string }): boolean {
  const given = new Map(
    [...credentialsOf(request).matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]*))/g)].map(
      ([, name = '', quoted, plain]) => [name, quoted ?? plain ?? ''] as const,
    ),
  );
  const of = (name: string) => given.get(name) ?? '';
  const expected = md5(
    md5(account.user, 'carrier', account.secret),
    ...[account.nonce, of('nc'), of('cnonce'), of('qop')],
    md5(request.method, of('uri')),
  );
  return of('username') === account.user && of('nonce') === account.nonce && of('response') === expected;
}
