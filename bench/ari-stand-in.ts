/**
 * An ARI without an Asterisk behind it, for figures that are about the engine and its queue only: takes each
 * originate and ends its channel a moment later as busy. In a process of its own: `node ari-stand-in.ts PORT`.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';

/** From the request to the refusal. */
const BUSY_AFTER_MS = 20;
const [port = '0'] = process.argv.slice(2);
let events: WebSocket | undefined;
const channels = new Set<string>();

const emit = (event: object): void => events?.send(JSON.stringify(event));
const INFO = JSON.stringify({
  system: { version: '22.10.1' },
  status: { startup_time: new Date().toISOString() },
});

const server = createServer((request, response) => {
  request.resume();
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand-in');
  const id = searchParams.get('channelId');
  const answer = (status: number, body = '{}') => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };
  if (pathname.endsWith('/asterisk/info')) answer(200, INFO);
  else if (request.method === 'POST' && pathname.endsWith('/channels') && id !== null) {
    answer(200);
    place(id, searchParams.get('endpoint') ?? '');
  } else if (request.method === 'GET' && pathname.endsWith('/channels'))
    answer(200, JSON.stringify([...channels].map((one) => ({ id: one, state: 'Down' }))));
  else if (request.method === 'GET') answer(404);
  else answer(204, '');
});

function place(id: string, endpoint: string): void {
  const channel = {
    id,
    name: endpoint,
    state: 'Down',
    protocol_id: createHash('sha1').update(id).digest('hex'),
  };
  channels.add(id);
  emit({ type: 'Dial', peer: channel, dialstatus: '' });
  setTimeout(() => {
    channels.delete(id);
    emit({ type: 'ChannelDestroyed', channel, cause: 17, tech_cause: 486 });
  }, BUSY_AFTER_MS);
}

new WebSocketServer({ server, path: '/ari/events' }).on('connection', (socket) => {
  events = socket;
});
server.listen(Number(port), '127.0.0.1');
