/** Trunks come to a running Asterisk, change and go while calls are up; all carriers here want an account. */
import t from 'tap';
import type { AriClient } from '../../engine/ari/client.ts';
import { type AriHttp, openAriHttp } from '../../engine/ari/http.ts';
import { openAriNode } from '../../engine/ari/node.ts';
import { applyTrunk, removeTrunk, type TrunkSettings, trunkObjects } from '../../engine/ari/trunk-config.ts';
import { systemClock } from '../../engine/clock.ts';
import { createLog } from '../../engine/log.ts';
import { type AccountCarrier, type SipRequest, startAccountCarrier } from '../sim/carrier/account.ts';
import { startNode, until } from '../support/asterisk.ts';

const ACCOUNT = { user: 'district', secret: 'first ";secret' };
const { ari } = await startNode(t);
const [east, west] = await Promise.all([startAccountCarrier(ACCOUNT), startAccountCarrier(ACCOUNT)]);
const client = await connected();
const sent: string[] = [];
const http = recorded(openAriHttp(ari));
t.teardown(async () => {
  await client.close();
  await http.close();
  for (const carrier of [east, west]) carrier.stop();
});

const TRUNK: TrunkSettings = {
  name: 'north',
  host: '127.0.0.1',
  port: east.port,
  transport: 'udp',
  auth: 'registration',
  username: ACCOUNT.user,
  secret: ACCOUNT.secret,
  fromDomain: null,
  codecs: ['ulaw', 'alaw'],
  qualifySeconds: 30,
};

t.test('A new trunk registers with its secret, and calls by it are answered', async (t) => {
  t.same(await applyTrunk(http, TRUNK), { addressKnown: true });
  await registered(east, 300);
  const { id } = await dial('+13035550101', '+13035550100');
  const call = east.requests.filter(({ method }) => method === 'INVITE');
  t.match(call, [
    { credentials: false, answered: 407 },
    { credentials: true, answered: 200, number: '+13035550101', from: '+13035550100' },
  ]);
  t.equal(call[1]?.asserted, '+13035550100');
  await hangUp(id, east);
});

t.test('Applied again, it changes nothing', async (t) => {
  sent.length = 0;
  const before = east.requests.length;
  await applyTrunk(http, TRUNK);
  t.same(
    sent.filter((request) => !request.startsWith('GET ')),
    [],
  );
  t.same(
    east.requests.slice(before).filter(({ method }) => method === 'REGISTER'),
    [],
  );
});

t.test('A changed secret holds at once, with a call up', async (t) => {
  const { id } = await dial('+13035550102');
  east.setSecret('second');
  const seen = east.requests.length;
  await applyTrunk(http, { ...TRUNK, secret: 'second' });
  await registered(east, 300, seen);
  await hangUp(id, east);
  t.pass('and that call was not disturbed');
});

t.test('A changed host holds for the next call; the one that is up goes on where it is', async (t) => {
  const { id } = await dial('+13035550103');
  await applyTrunk(http, { ...TRUNK, port: west.port });
  await registered(west, 300);
  const next = await dial('+13035550104');
  t.ok(west.requests.some(({ method, number }) => method === 'INVITE' && number === '+13035550104'));
  await hangUp(next.id, west);
  await hangUp(id, east);
});

t.test('From registration to digest: the registration is taken back, and calls are answered', async (t) => {
  await applyTrunk(http, { ...TRUNK, auth: 'digest', port: west.port });
  await registered(west, 0);
  const { id } = await dial('+13035550105');
  await hangUp(id, west);
  t.pass('answered');
});

t.test('From digest to the address alone: the secret leaves Asterisk', async (t) => {
  await applyTrunk(http, {
    ...{ ...TRUNK, auth: 'ip', port: west.port, codecs: ['alaw'] },
    ...{ username: null, secret: null },
  });
  const auth = await http.request('GET', '/asterisk/config/dynamic/res_pjsip/auth/north', {
    tolerate: [404],
  });
  t.equal(auth, undefined);
  await t.rejects(dial('+13035550106', undefined, 1_000), /not within/, 'this carrier wants it');
  const endpoint = await http.request('GET', '/asterisk/config/dynamic/res_pjsip/endpoint/north');
  t.match(
    (endpoint as { attribute: string }[]).find(({ attribute }) => attribute === 'allow'),
    { value: '(alaw)' },
    'the codecs are the new ones only',
  );
});

t.test('Removed with a call up: that one goes on, and there is no other', async (t) => {
  await applyTrunk(http, { ...TRUNK, auth: 'digest', port: west.port });
  const { id } = await dial('+13035550107');
  await removeTrunk(http, 'north');
  await t.rejects(dial('+13035550108'), { code: 'ARI_REFUSED' });
  await hangUp(id, west);
  await removeTrunk(http, 'north');
  t.pass('and what is not there can be removed');
});

t.test('A name that does not exist is told, and the trunk is there for when it does', async (t) => {
  const elsewhere = { ...TRUNK, name: 'nowhere', host: 'sip.invalid', port: null, auth: 'ip' as const };
  t.same(await applyTrunk(http, elsewhere), { addressKnown: false });
  t.ok(await http.request('GET', '/endpoints/PJSIP/nowhere'));
  await removeTrunk(http, 'nowhere');
});

t.test('Addresses: SRV without a port, transport, From domain', async (t) => {
  const fieldsOf = (trunk: Partial<TrunkSettings>, type: string) =>
    trunkObjects({ ...TRUNK, ...trunk }).find((object) => object.type === type)?.fields;
  const named = { host: 'sip.carrier.example', port: null };
  t.match(fieldsOf(named, 'aor'), { contact: 'sip:sip.carrier.example' });
  t.match(fieldsOf(named, 'identify'), { match: 'sip.carrier.example', srv_lookups: 'true' });
  t.match(fieldsOf({ ...named, port: 5070, transport: 'tls' }, 'aor'), {
    contact: 'sip:sip.carrier.example:5070;transport=tls',
  });
  t.match(fieldsOf({ ...named, port: 5070, transport: 'tls' }, 'identify'), {
    match: 'sip.carrier.example',
    srv_lookups: 'false',
  });
  t.match(fieldsOf(named, 'registration'), { client_uri: 'sip:district@sip.carrier.example' });
  t.match(fieldsOf({ ...named, fromDomain: 'sip.example' }, 'registration'), {
    client_uri: 'sip:district@sip.example',
  });
  t.match(fieldsOf({ auth: 'ip' }, 'endpoint'), { outbound_auth: '', from_domain: '' });
  t.equal(fieldsOf({ auth: 'ip' }, 'auth'), undefined);
});

async function connected(): Promise<AriClient> {
  let up = false;
  const nothing = () => {};
  const node = openAriNode(ari, { clock: systemClock, log: createLog('silent') });
  const opened = node.connect('test', {
    onUp: () => (up = true),
    onDown: nothing,
    onReplaced: nothing,
    onStray: nothing,
  });
  await until(() => up || undefined);
  return opened;
}

function recorded(inner: AriHttp): AriHttp {
  return {
    close: inner.close,
    request: async (method, path, options) => {
      sent.push(`${method} ${path}`);
      return inner.request(method, path, options);
    },
  };
}

/**
 * Waits until the carrier has taken a registration of this many seconds, after the first `seen` requests; 0 is
 * one that was taken back.
 */
async function registered(carrier: AccountCarrier, expires: number, seen = 0): Promise<void> {
  const isIt = (request: SipRequest) =>
    request.method === 'REGISTER' && request.expires === expires && request.answered === 200;
  await until(() => carrier.requests.slice(seen).find(isIt));
}

async function dial(number: string, callerId?: string, deadlineMs?: number): Promise<{ id: string }> {
  const id = crypto.randomUUID();
  let up = false;
  client.attach(id, (event) => {
    if (event.type === 'StasisStart') up = true;
  });
  await client.originate({
    channelId: id,
    endpoint: `PJSIP/${number}@north`,
    callerId,
    timeoutSeconds: 20,
    variables: {},
  });
  await until(() => up || undefined, deadlineMs);
  return { id };
}

async function hangUp(id: string, carrier: AccountCarrier): Promise<void> {
  const byes = () => carrier.requests.filter(({ method }) => method === 'BYE').length;
  const before = byes();
  await client.hangup(id);
  await until(() => byes() > before || undefined);
  client.detach(id);
}
