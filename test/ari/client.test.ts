/** The ARI client on a real Asterisk, with the simulated carrier behind it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import t from 'tap';
import type { AriClient, ConnectionHandlers } from '../../engine/ari/client.ts';
import type { AriEvent } from '../../engine/ari/events.ts';
import { openAriHttp } from '../../engine/ari/http.ts';
import { openAriNode } from '../../engine/ari/node.ts';
import { applyTrunk } from '../../engine/ari/trunk-config.ts';
import { systemClock } from '../../engine/clock.ts';
import { createLog } from '../../engine/log.ts';
import { freePorts } from '../../local/ports.ts';
import { startNode, until } from '../support/asterisk.ts';

const { asterisk, ari, carriers } = await startNode(t, { carriers: 1 });
const [fakePort = 0] = await freePorts(1);
const http = openAriHttp(ari);
await applyTrunk(http, {
  ...{ name: 'carrier', host: '127.0.0.1', port: carriers[0]?.port ?? 0, transport: 'udp', auth: 'ip' },
  ...{ username: null, secret: null, fromDomain: null, codecs: ['ulaw'], qualifySeconds: 0 },
});
await http.close();

/** A client whose connection handlers write a diary; `until` waits for an entry. */
function connect(options: { url?: string; password?: string } = {}) {
  const diary: string[] = [];
  const note = (what: string) => diary.push(what);
  const handlers: ConnectionHandlers = {
    onUp: () => note('up'),
    onDown: (error, refused) => note(`down${refused ? ' refused' : ''}: ${error.message}`),
    onReplaced: () => note('replaced'),
    onStray: (event) => note(`stray ${event.type}`),
  };
  const node = openAriNode({ ...ari, ...options }, { clock: systemClock, log: createLog('silent') });
  const client = node.connect('test', handlers);
  return {
    client,
    diary,
    close: async () => {
      await client.close();
      await node.close();
    },
    until: (pattern: RegExp) => until(() => diary.find((entry) => pattern.test(entry))),
  };
}

async function dial(client: AriClient, number: string): Promise<{ id: string; events: AriEvent[] }> {
  const id = crypto.randomUUID();
  const events: AriEvent[] = [];
  client.attach(id, (event) => events.push(event));
  await client.originate({
    channelId: id,
    endpoint: `PJSIP/${number}@carrier`,
    callerId: undefined,
    timeoutSeconds: 20,
    variables: {},
  });
  return { id, events };
}
const ofType = <T extends AriEvent['type']>(events: AriEvent[], type: T) =>
  until(() => events.find((event): event is Extract<AriEvent, { type: T }> => event.type === type));

t.test('a call from ringing to its SIP code', async (t) => {
  const { client, close, until: entry } = connect();
  await entry(/^up$/);
  const { events } = await dial(client, '+13035550171');
  t.match(await ofType(events, 'ChannelDestroyed'), { cause: 17, tech_cause: 486 });
  t.ok(
    events.some((event) => event.type === 'Dial' && event.peer.protocol_id),
    'with its SIP Call-ID',
  );
  await close();
});

t.test('an answered call, two keys 60 ms apart, and a playback of what is not there', async (t) => {
  const { client, close, until: entry } = connect();
  await entry(/^up$/);
  const { id, events } = await dial(client, '+13035550186');
  await ofType(events, 'StasisStart');
  t.same((await client.channel(id))?.state, 'Up');
  await client.play(id, `${id}.1`, 'sound:/nowhere/at-all');
  t.equal((await ofType(events, 'PlaybackFinished')).playback.state, 'failed');
  t.equal(await client.playbackExists(`${id}.1`), false);
  await until(() =>
    events.filter(({ type }) => type === 'ChannelDtmfReceived').length === 2 ? true : undefined,
  );
  t.same(
    events.flatMap((event) => (event.type === 'ChannelDtmfReceived' ? [event.digit] : [])),
    ['1', '2'],
  );
  await client.hangup(id);
  await ofType(events, 'ChannelDestroyed');
  await client.hangup(id);
  t.equal(await client.channel(id), undefined, 'gone, and a second hang-up is no error');
  await close();
});

t.test('the HTTP status is kept', async (t) => {
  const { client, close, until: entry } = connect();
  await entry(/^up$/);
  const call = { channelId: crypto.randomUUID(), callerId: undefined, timeoutSeconds: 5, variables: {} };
  await t.rejects(client.originate({ ...call, endpoint: 'PJSIP/+13035550101@nowhere' }), {
    code: 'ARI_REFUSED',
    details: { status: 500 },
  });
  await t.rejects(client.play('no-such-channel', 'x', 'sound:/x'), { code: 'ARI_REFUSED' });
  await close();
});

t.test('a killed Asterisk is a gap that is said, and the client comes back by itself', async (t) => {
  const { client, close, diary, until: entry } = connect();
  await entry(/^up$/);
  const { events } = await dial(client, '+13035550102');
  await ofType(events, 'StasisStart');
  await asterisk.kill();
  await entry(/^down refused/);
  t.equal(client.connected, false);
  await t.rejects(client.channels(), { code: 'ARI_UNAVAILABLE' });
  await asterisk.restart();
  await until(() => (diary.filter((line) => line === 'up').length === 2 ? true : undefined));
  t.same(await client.channels(), []);
  await close();
});

t.test('an engine that takes over the application is noticed', async (t) => {
  const first = connect();
  await first.until(/^up$/);
  const second = connect();
  await second.until(/^up$/);
  t.equal(await first.until(/^replaced$/), 'replaced');
  await Promise.all([first.close(), second.close()]);
});

t.test('a wrong password and an old Asterisk are said clearly', async (t) => {
  const wrong = connect({ password: 'not-the-password' });
  t.match(await wrong.until(/^down/), /401/);
  await wrong.close();

  // No old Asterisk can be had here: this one only says that it is old.
  const old = createServer((_request, response) => {
    const startup = '2026-01-01T00:00:00.000+0000';
    response.end(JSON.stringify({ system: { version: '20.5.0' }, status: { startup_time: startup } }));
  }).listen(fakePort, '127.0.0.1');
  await once(old, 'listening');
  const refused = connect({ url: `http://127.0.0.1:${fakePort}` });
  t.match(await refused.until(/^down/), /20\.5\.0 is older than 22\.10\.1/);
  await refused.close();
  old.close();
});
