/**
 * The bare ARI loop: the engine's requests and nothing else. No ledger, no log, no checks, no session. With a
 * second argument `websocket` the requests travel over the socket of the events, as Asterisk 22.4 and newer can.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Pool } from 'undici';
import WebSocket from 'ws';
import { endpointOf, LIMIT_SECONDS, RING_SECONDS, readTarget, serveDriver } from './child.ts';

const { ari, sound } = readTarget();
const authorization = `Basic ${Buffer.from(`${ari.user}:${ari.password}`).toString('base64')}`;
const pool = new Pool(ari.url, { connections: 12, keepAliveTimeout: 10_000, keepAliveMaxTimeout: 10_000 });
const media = encodeURIComponent(`sound:${sound}`);
const variables = JSON.stringify({ variables: { 'TIMEOUT(absolute)': String(LIMIT_SECONDS) } });

interface Live {
  played: boolean;
  resolve(played: boolean): void;
}
const live = new Map<string, Live>();

const byWebSocket = process.argv[3] === 'websocket';
const answers = new Map<string, (status: number) => void>();
let asked = 0;

async function request(method: 'POST' | 'DELETE', path: string, body: string | null = null): Promise<void> {
  const status = await (byWebSocket ? requestBySocket : requestByHttp)(method, path, body);
  if (status >= 400 && status !== 404) throw new Error(String(status));
}

function requestBySocket(method: string, path: string, body: string | null): Promise<number> {
  const id = String(++asked);
  socket.send(
    JSON.stringify({
      type: 'RESTRequest',
      transaction_id: id,
      request_id: id,
      method,
      uri: path.replace('/ari/', ''),
      ...(body !== null && { content_type: 'application/json', message_body: body }),
    }),
  );
  return new Promise((resolve) => answers.set(id, resolve));
}

async function requestByHttp(method: string, path: string, body: string | null): Promise<number> {
  const headers = body === null ? { authorization } : { authorization, 'content-type': 'application/json' };
  const response = await pool.request({ method, path, headers, body });
  await response.body.text();
  return response.statusCode;
}

const fail = (id: string) => () => {
  live.get(id)?.resolve(false);
  live.delete(id);
};

const socket = new WebSocket(`${ari.url.replace('http', 'ws')}/ari/events?app=bare&subscribeAll=false`, {
  headers: { authorization },
  perMessageDeflate: false,
});
socket.on('message', (data) => {
  const event = JSON.parse(data.toString());
  switch (event.type) {
    case 'RESTResponse':
      answers.get(event.request_id)?.(event.status_code);
      answers.delete(event.request_id);
      break;
    case 'StasisStart': {
      const { id } = event.channel;
      request('POST', `/ari/channels/${id}/play/${id}.1?media=${media}`).catch(fail(id));
      break;
    }
    case 'PlaybackFinished': {
      const id = event.playback.target_uri.slice('channel:'.length);
      const call = live.get(id);
      if (call !== undefined) call.played = event.playback.state === 'done';
      request('DELETE', `/ari/channels/${id}`).catch(fail(id));
      break;
    }
    case 'ChannelDestroyed': {
      const call = live.get(event.channel.id);
      live.delete(event.channel.id);
      call?.resolve(call.played);
    }
  }
});
await once(socket, 'open');

serveDriver((number) => {
  const id = randomUUID();
  return new Promise((resolve) => {
    live.set(id, { played: false, resolve });
    const endpoint = encodeURIComponent(endpointOf(number));
    const path = `/ari/channels?channelId=${id}&endpoint=${endpoint}&app=bare&timeout=${RING_SECONDS}`;
    request('POST', path, variables).catch(fail(id));
  });
});
