/** The same loop with the npm package `ari-client`, as its own examples are written. */
import ari, { type Channel, type Client, type Playback } from 'ari-client';
import { endpointOf, LIMIT_SECONDS, RING_SECONDS, readTarget, serveDriver } from './child.ts';

const { ari: target, sound } = readTarget();
const client: Client = await ari.connect(target.url, target.user, target.password);
await client.start('ari-client');

serveDriver(async (number) => {
  const channel: Channel = client.Channel();
  let played = false;
  return new Promise((resolve, reject) => {
    channel.once('StasisStart', () => {
      const playback: Playback = client.Playback();
      playback.once('PlaybackFinished', (_event, finished) => {
        played = finished.state === 'done';
        channel.hangup().catch(reject);
      });
      channel.play({ media: `sound:${sound}` }, playback).catch(reject);
    });
    channel.once('ChannelDestroyed', () => resolve(played));
    channel
      .originate({
        endpoint: endpointOf(number),
        app: 'ari-client',
        timeout: RING_SECONDS,
        variables: { 'TIMEOUT(absolute)': String(LIMIT_SECONDS) },
      })
      .catch(reject);
  });
});
