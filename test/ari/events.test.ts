import t from 'tap';
import { channelOf, parseEvent } from '../../engine/ari/events.ts';
import { createRouter } from '../../engine/ari/router.ts';

const channel = { id: 'abc', name: 'PJSIP/x-1', state: 'Up', language: 'en' };

t.test('events that we use are checked, and extra fields ignored', async (t) => {
  const text = JSON.stringify({
    type: 'ChannelDestroyed',
    channel,
    cause: 17,
    tech_cause: 486,
    application: 'x',
  });
  t.match(parseEvent(text), { type: 'ChannelDestroyed', cause: 17, tech_cause: 486 });
  t.equal(
    parseEvent(JSON.stringify({ type: 'ChannelVarset', anything: 1 })),
    undefined,
    'known to be of no use',
  );
});

t.test('what is not understood is said, never dropped', async (t) => {
  t.throws(() => parseEvent('{'), { code: 'ARI_EVENT_INVALID', message: /not JSON/ });
  t.throws(() => parseEvent('[]'), { code: 'ARI_EVENT_INVALID' });
  t.throws(() => parseEvent('{"type":"NewInAsterisk30"}'), { message: /NewInAsterisk30/ });
  t.throws(() => parseEvent('{"type":"ChannelDestroyed","channel":{"id":1}}'), { message: /shape/ });
});

t.test('every event finds its channel', async (t) => {
  const playback = { id: 'abc.1', target_uri: 'channel:abc', state: 'done' };
  const of = (event: object) => channelOf(parseEvent(JSON.stringify(event)) as never);
  t.equal(of({ type: 'PlaybackFinished', playback }), 'abc');
  t.equal(of({ type: 'Dial', peer: channel, dialstatus: 'RINGING' }), 'abc');
  t.equal(of({ type: 'StasisStart', channel }), 'abc');
  t.equal(of({ type: 'ApplicationReplaced' }), undefined);
});

t.test('one handler per channel; strays are handed on', async (t) => {
  const strays: string[] = [];
  const seen: string[] = [];
  const router = createRouter((event) => strays.push(event.type));
  const event = parseEvent(JSON.stringify({ type: 'StasisStart', channel }));
  router.attach('abc', (one) => seen.push(one.type));
  t.throws(() => router.attach('abc', () => undefined), /has a handler/);
  router.dispatch(event as never);
  router.detach('abc');
  router.dispatch(event as never);
  t.same([seen, strays, router.size], [['StasisStart'], ['StasisStart'], 0]);
});
