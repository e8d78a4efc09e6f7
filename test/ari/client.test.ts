/** The ARI client on a real Asterisk, with the simulated carrier behind it. */
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type AriClient, type ConnectionHandlers, connectAri } from '../../engine/ari/client.ts';
import type { AriEvent } from '../../engine/ari/events.ts';
import { systemClock } from '../../engine/clock.ts';
import { createLog } from '../../engine/log.ts';
import { startAsterisk } from '../../local/asterisk.ts';
import { freePorts } from '../../local/ports.ts';
import { startCarrier } from '../sim/carrier/carrier.ts';

const root = resolve(import.meta.dirname, '../..');
const dir = resolve(root, 'var/test', `ari-${process.pid}`);
await mkdir(dir, { recursive: true });
const [sipPort = 0, ariPort = 0, carrierPort = 0, fakePort = 0] = await freePorts(4);
const PASSWORD = 'a-password-for-one-test';
const carrier = await startCarrier({ port: carrierPort, mediaPort: 31_700, runDir: resolve(dir, 'carrier') });
const asterisk = await startAsterisk({
  rootDir: resolve(root, 'var/asterisk-root'),
  runDir: resolve(dir, 'asterisk'),
  sipPort,
  ariPort,
  rtpStart: 31_800,
  rtpEnd: 31_999,
  ariUser: 'rollcall',
  ariPassword: PASSWORD,
  trunks: [{ endpoint: 'carrier', host: '127.0.0.1', port: carrierPort }],
});
t.teardown(async () => {
  await asterisk.stop();
  await carrier.stop();
  await rm(dir, { recursive: true, force: true });
});

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
  const client = connectAri(
    { url: `http://127.0.0.1:${ariPort}`, user: 'rollcall', password: PASSWORD, app: 'test', ...options },
    { clock: systemClock, log: createLog('silent') },
    handlers,
  );
  return {
    client,
    diary,
    until: (pattern: RegExp) => until(() => diary.find((entry) => pattern.test(entry))),
  };
}

async function until<T>(check: () => T | undefined, deadlineMs = 10_000): Promise<T> {
  for (const deadline = Date.now() + deadlineMs; ; await sleep(20)) {
    const found = check();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${check}`);
  }
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
  const { client, until: entry } = connect();
  await entry(/^up$/);
  const { events } = await dial(client, '+13035550171');
  t.match(await ofType(events, 'ChannelDestroyed'), { cause: 17, tech_cause: 486 });
  t.ok(
    events.some((event) => event.type === 'Dial' && event.peer.protocol_id),
    'with its SIP Call-ID',
  );
  await client.close();
});

t.test('an answered call, two keys 60 ms apart, and a playback of what is not there', async (t) => {
  const { client, until: entry } = connect();
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
  await client.close();
});

t.test('the HTTP status is kept', async (t) => {
  const { client, until: entry } = connect();
  await entry(/^up$/);
  const call = { channelId: crypto.randomUUID(), callerId: undefined, timeoutSeconds: 5, variables: {} };
  await t.rejects(client.originate({ ...call, endpoint: 'PJSIP/+13035550101@nowhere' }), {
    code: 'ARI_REFUSED',
    details: { status: 500 },
  });
  await t.rejects(client.play('no-such-channel', 'x', 'sound:/x'), { code: 'ARI_REFUSED' });
  await client.close();
});

t.test('a killed Asterisk is a gap that is said, and the client comes back by itself', async (t) => {
  const { client, diary, until: entry } = connect();
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
  await client.close();
});

t.test('an engine that takes over the application is noticed', async (t) => {
  const first = connect();
  await first.until(/^up$/);
  const second = connect();
  await second.until(/^up$/);
  t.equal(await first.until(/^replaced$/), 'replaced');
  await Promise.all([first.client.close(), second.client.close()]);
});

t.test('a wrong password and an old Asterisk are said clearly', async (t) => {
  const wrong = connect({ password: 'not-the-password' });
  t.match(await wrong.until(/^down/), /401/);
  await wrong.client.close();

  // No old Asterisk can be had here: this one only says that it is old.
  const old = createServer((_request, response) => {
    const startup = '2026-01-01T00:00:00.000+0000';
    response.end(JSON.stringify({ system: { version: '20.5.0' }, status: { startup_time: startup } }));
  }).listen(fakePort, '127.0.0.1');
  await once(old, 'listening');
  const refused = connect({ url: `http://127.0.0.1:${fakePort}` });
  t.match(await refused.until(/^down/), /20\.5\.0 is older than 22\.10\.1/);
  await refused.client.close();
  old.close();
});
