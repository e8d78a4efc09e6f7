/** Trunks by REST, over real SIP: each way to reach a carrier, changes while it runs, and what is never dialled. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { claimMediaPorts, freePorts } from '../../local/ports.ts';
import { SHORT_PROMPTS, startDistrict } from '../support/stack.ts';
import { type AccountCarrier, startAccountCarrier } from './carrier/account.ts';
import type { Carrier } from './carrier/carrier.ts';
import { startTcpCarrier } from './carrier/tcp-carrier.ts';

const policy = { maxTries: 1, ringSeconds: 5, trunkRetrySeconds: 1, maxTrunkFailures: 1 };
const district = await startDistrict(t, { policy, carriers: 2, env: SHORT_PROMPTS });
const { api, until } = district;
const [east, west] = district.carriers as [Carrier, Carrier];
const CALLER_ID = '+13035550100';
await api.request('PUT', `/v1/caller-ids/${encodeURIComponent(CALLER_ID)}`, { proof: 'a test' });
await api.request('PUT', '/v1/sites/S1', { name: 'First School', level: 'elementary', callerId: CALLER_ID });

interface Trunk {
  id: string;
  name: string;
  state: string;
  stateReason: string | null;
  openCalls: number;
}

let last = 0;
/** A number that nobody has called yet: a person who answers. */
const person = () => `+1303555${String(++last).padStart(2, '0')}01`;
const act = (id: string, action: string) => api.request<Trunk>('POST', `/v1/trunks/${id}/${action}`);
const trunk = async (id: string) => {
  const { items } = await api.request<{ items: Trunk[] }>('GET', '/v1/trunks');
  return items.find((one) => one.id === id) as Trunk;
};
const callOf = async (carrier: Carrier, number: string) =>
  (await carrier.calls()).find((call) => call.number === number);
const reached = (carrier: Carrier, number: string) =>
  until(`${number} is called`, () => callOf(carrier, number), 20_000);
const inviteTo = ({ requests }: AccountCarrier, number: string) =>
  requests.find((one) => one.method === 'INVITE' && one.number === number && one.answered === 200);

/** Makes a trunk that all calls go by. */
async function only(settings: object): Promise<Trunk> {
  const before = await api.request<{ items: Trunk[] }>('GET', '/v1/trunks');
  for (const other of before.items) await act(other.id, 'pause');
  return api.request<Trunk>('POST', '/v1/trunks', {
    name: `trunk-${last}`,
    host: '127.0.0.1',
    maxChannels: 10,
    callsPerSecond: 10,
    ...settings,
  });
}

t.test("a trunk made by REST places calls without a restart, and shows the site's number", async (t) => {
  const number = person();
  const [call] = await district.finished(await district.broadcast([number]));
  t.equal(call?.heard, 'unsure');
  t.equal((await callOf(east, number))?.from, CALLER_ID);
});

t.test('a changed host holds for the next call, and the call that is up goes on', async (t) => {
  const [first, second] = [person(), person()];
  const before = await district.broadcast([first]);
  await until('the first is answered', async () => (await callOf(east, first))?.answeredAt, 20_000);
  await api.request('PATCH', `/v1/trunks/${district.trunkId}`, { port: west.port });
  const after = await district.broadcast([second]);
  await reached(west, second);
  t.equal((await district.finished(before))[0]?.heard, 'unsure', 'heard to its end');
  t.equal((await district.finished(after))[0]?.heard, 'unsure');
  t.notOk(await callOf(east, second));
});

t.test('paused: nothing is dialled until it is resumed', async (t) => {
  await act(district.trunkId, 'pause');
  const number = person();
  const id = await district.broadcast([number]);
  await until('the call is ready', async () =>
    (await district.calls(id)).find(({ state }) => state === 'ready'),
  );
  const resumedAt = Date.now();
  await act(district.trunkId, 'resume');
  t.ok((await reached(west, number)).inviteAt >= resumedAt);
  await district.finished(id);
});

t.test('drained: the call that is up is finished, then it is paused', async (t) => {
  const [live, waiting] = [person(), person()];
  const id = await district.broadcast([live]);
  await until('the call is up', async () => (await callOf(west, live))?.answeredAt, 20_000);
  t.match(await act(district.trunkId, 'drain'), { state: 'draining', openCalls: 1 });
  const next = await district.broadcast([waiting]);
  t.equal((await district.finished(id))[0]?.heard, 'unsure', 'heard to its end');
  await until('it is drained', async () =>
    (await trunk(district.trunkId)).state === 'paused' ? true : undefined,
  );
  t.match(await trunk(district.trunkId), { stateReason: /^drained/, openCalls: 0 });
  const resumedAt = Date.now();
  await act(district.trunkId, 'resume');
  t.ok((await reached(west, waiting)).inviteAt >= resumedAt);
  await district.finished(next);
});

t.test('by digest: the challenge is answered with user and secret', async (t) => {
  const carrier = await startAccountCarrier({ user: 'district', secret: 'of digest' });
  t.teardown(carrier.stop);
  await only({ port: carrier.port, auth: 'digest', username: 'district', secret: 'of digest' });
  const number = person();
  const [call] = await district.finished(await district.broadcast([number]));
  t.equal(call?.heard, 'unsure');
  t.match(inviteTo(carrier, number), { credentials: true, from: CALLER_ID, asserted: CALLER_ID });
});

t.test('by registration: registered before it calls, and taken back when it is removed', async (t) => {
  const carrier = await startAccountCarrier({ user: 'district', secret: 'of registration' });
  t.teardown(carrier.stop);
  const account = { auth: 'registration', username: 'district', secret: 'of registration' };
  const made = await only({ port: carrier.port, ...account });
  await until(
    'it is registered',
    async () => carrier.requests.find(({ expires, answered }) => expires === 300 && answered === 200),
    20_000,
  );
  const number = person();
  await district.finished(await district.broadcast([number]));
  t.match(inviteTo(carrier, number), { credentials: true, from: CALLER_ID });
  await act(made.id, 'pause');
  await api.request('DELETE', `/v1/trunks/${made.id}`);
  await until(
    'the registration is taken back',
    async () => carrier.requests.find(({ expires }) => expires === 0),
    20_000,
  );
});

t.test('over TCP', async (t) => {
  const runDir = await mkdtemp(join(tmpdir(), 'tcp-carrier-'));
  const [port = 0] = await freePorts(1);
  const media = await claimMediaPorts();
  const carrier = await startTcpCarrier({ port, mediaPort: media.first, runDir });
  t.teardown(async () => {
    await carrier.stop();
    media.release();
    await rm(runDir, { recursive: true, force: true });
  });
  await only({ port, transport: 'tcp' });
  const number = person();
  const [call] = await district.finished(await district.broadcast([number]));
  t.equal(call?.heard, 'unsure');
  t.equal((await callOf(carrier, number))?.from, CALLER_ID);
});

t.test('another country and what costs by the minute are never on the wire', async (t) => {
  await only({ port: east.port });
  const never = ['+525512345678', '+18765551234', '+15005550100'];
  const number = person();
  const id = await district.broadcast([...never, number]);
  await reached(east, number);
  const calls = await district.finished(id);
  for (const phone of never) {
    t.equal(calls.find((call) => call.phone === phone)?.heard, 'none', phone);
    for (const carrier of [east, west]) t.notOk(await callOf(carrier, phone), phone);
  }
  await t.rejects(district.broadcast(['+19005550100']), /400|422/, 'premium rate is refused at the door');
});
