/** Trunk health over AMI from a real Asterisk: one carrier that answers, one that is gone, two registrars. */
import t from 'tap';
import { type NodeHealth, startWatcher } from '../../engine/ami/watcher.ts';
import { openAriHttp } from '../../engine/ari/http.ts';
import { applyTrunk, removeTrunk, type TrunkSettings } from '../../engine/ari/trunk-config.ts';
import { systemClock } from '../../engine/clock.ts';
import { createLog } from '../../engine/log.ts';
import { freePorts } from '../../local/ports.ts';
import { startAccountCarrier } from '../sim/carrier/account.ts';
import { startNode, until } from '../support/asterisk.ts';

const ACCOUNT = { user: 'district', secret: 'right' };
const { asterisk, ari, ami, carriers } = await startNode(t, { carriers: 1 });
const http = openAriHttp(ari);
const registrar = await startAccountCarrier(ACCOUNT);
const [closedPort = 0] = await freePorts(1);
t.teardown(async () => {
  registrar.stop();
  await http.close();
});

const TRUNK: TrunkSettings = {
  ...{ name: 'there', host: '127.0.0.1', port: carriers[0]?.port ?? 0, transport: 'udp', auth: 'ip' },
  ...{ username: null, secret: null, fromDomain: null, codecs: ['ulaw'], qualifySeconds: 1 },
};
const account = { auth: 'registration', username: ACCOUNT.user, port: registrar.port } as const;
for (const trunk of [
  TRUNK,
  { ...TRUNK, name: 'gone', port: closedPort },
  { ...TRUNK, name: 'unasked', qualifySeconds: 0 },
  { ...TRUNK, ...account, name: 'account', secret: 'right' },
  { ...TRUNK, ...account, name: 'wrong', secret: 'wrong' },
])
  await applyTrunk(http, trunk);

const states: NodeHealth[] = [];
const watcher = startWatcher(
  ami,
  { clock: systemClock, log: createLog('silent') },
  { onChange: (health) => void states.push(health) },
);
t.teardown(() => watcher.close());

t.test('who is reachable, who is registered, and how long the queues are', async (t) => {
  await until(() => {
    const { contacts, registrations } = watcher.health;
    const known = contacts.get('there')?.reachable !== null && contacts.get('gone')?.reachable === false;
    return known && registrations.get('wrong') === 'rejected' ? true : undefined;
  }, 20_000);
  const { connected, contacts, registrations, taskProcessorBacklog } = watcher.health;
  t.equal(connected, true);
  t.match(contacts.get('there'), { reachable: true, roundTripMs: Number });
  t.ok((contacts.get('there')?.roundTripMs ?? 0) < 1_000);
  t.same(contacts.get('gone'), { reachable: false, roundTripMs: null });
  t.same(contacts.get('unasked'), { reachable: null, roundTripMs: null });
  t.same([...registrations].sort(), [
    ['account', 'registered'],
    ['wrong', 'rejected'],
  ]);
  t.type(taskProcessorBacklog, 'number');
});

t.test('a trunk that comes, and one that goes', async (t) => {
  await applyTrunk(http, { ...TRUNK, name: 'late' });
  await until(() => watcher.health.contacts.get('late')?.reachable || undefined);
  await removeTrunk(http, 'late');
  await until(() => !watcher.health.contacts.has('late') || undefined);
  t.pass('both are seen');
});

t.test('a carrier that dies is seen by its event, and one whose account is mended', async (t) => {
  await carriers[0]?.kill();
  await until(() => watcher.health.contacts.get('there')?.reachable === false || undefined);
  await applyTrunk(http, { ...TRUNK, ...account, name: 'wrong', secret: 'right' });
  await until(() => watcher.health.registrations.get('wrong') === 'registered' || undefined);
  t.pass('both are seen');
});

t.test('without Asterisk nothing is known, and it comes back by itself', async (t) => {
  await asterisk.kill();
  const down = await until(() => states.find(({ connected }, index) => index > 0 && !connected));
  t.same([down.contacts.size, down.registrations.size, down.taskProcessorBacklog], [0, 0, null]);
  await asterisk.restart();
  await until(() => watcher.health.connected || undefined, 20_000);
  t.equal(watcher.health.contacts.size, 0, 'it has no trunks until they are brought again');
});

t.test('a wrong password is said, and ends nothing', async (t) => {
  const lines: string[] = [];
  const refused = startWatcher(
    { ...ami, password: 'not-the-password' },
    { clock: systemClock, log: createLog('warn', { write: (line) => void lines.push(line) }) },
    { onChange: () => t.fail('there is nothing to tell') },
  );
  await until(() => lines.find((line) => line.includes('does not let this AMI user in')));
  await refused.close();
  t.notMatch(lines.join(), /not-the-password/);
});
