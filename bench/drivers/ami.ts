/** AMI Originate (asynchronous), with an application of the dialplan that plays the message. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { endpointOf, LIMIT_SECONDS, RING_SECONDS, readTarget, serveDriver } from './child.ts';

const { ari, amiPort, sound } = readTarget();
const socket = connect(amiPort, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
await once(socket, 'connect');

const send = (fields: Record<string, string>): void => {
  socket.write(
    `${Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
  );
};
const live = new Map<string, (played: boolean) => void>();
const loggedIn = Promise.withResolvers<void>();
let rest = '';
socket.on('data', (text: string) => {
  const blocks = (rest + text).split('\r\n\r\n');
  rest = blocks.pop() ?? '';
  for (const block of blocks) {
    if (block.includes('Authentication accepted')) loggedIn.resolve();
    const id = /^Uniqueid: (\S+)/m.exec(block)?.[1] ?? /^ActionID: (\S+)/m.exec(block)?.[1] ?? '';
    // The end of the call; or the news that there was none.
    const over = /^Event: Hangup/m.test(block);
    const refused = /^Event: OriginateResponse/m.test(block) && /^Response: Failure/m.test(block);
    if (!over && !refused) continue;
    live.get(id)?.(over && /^Cause: 16/m.test(block));
    live.delete(id);
  }
});
send({ Action: 'Login', Username: ari.user, Secret: ari.password });
await loggedIn.promise;

serveDriver((number) => {
  const id = randomUUID();
  return new Promise((resolve) => {
    live.set(id, resolve);
    send({
      Action: 'Originate',
      ActionID: id,
      ChannelId: id,
      Channel: endpointOf(number),
      Application: 'Playback',
      Data: sound,
      Timeout: String(RING_SECONDS * 1000),
      Variable: `TIMEOUT(absolute)=${LIMIT_SECONDS}`,
      Async: 'true',
    });
  });
});
