/** The verifier of chaos runs sees each violation, on made-up logs, and none where all is well. */
import t from 'tap';
import { type Dialog, endOf, readDialogs } from '../chaos/dialogs.ts';
import type { Evidence, LedgerAttempt, LedgerCall } from '../chaos/evidence.ts';
import type { LinkFact } from '../chaos/link.ts';
import { completeIn, peaksOf, verify } from '../chaos/verify.ts';

const PHONE = '+13035550001';
const MESSAGE_MS = 4_000;
const PAUSE_MS = 500;
const RULES = {
  final: 'every planned call has exactly one final outcome',
  twice: 'no phone hears the complete message twice',
  tried: 'no phone is never tried',
  caps: 'no trunk exceeds its caps',
  ledger: 'every INVITE has an attempt of its own in the ledger',
  honest: 'an outcome is what happened',
  up: 'no call is left up',
};

const call = (change: Partial<LedgerCall> = {}): LedgerCall => ({
  id: 'call-1',
  broadcastId: 'b-1',
  phone: PHONE,
  state: 'done',
  outcome: 'unsure',
  heard: 'unsure',
  ...change,
});
const attempt = (change: Partial<LedgerAttempt> = {}): LedgerAttempt => ({
  id: 'a-1',
  callId: 'call-1',
  trunk: 'north',
  node: 'asterisk-1',
  number: 1,
  state: 'ended',
  outcome: 'unsure',
  interrupted: false,
  sipCode: null,
  heardMs: MESSAGE_MS,
  messageMs: MESSAGE_MS,
  claimedAt: 900,
  placedAt: 1_000,
  answeredAt: 1_100,
  endedAt: 7_000,
  ...change,
});
/** A person who answered at 1,100 and to whom Asterisk said goodbye at 6,700. */
const dialog = (change: Partial<Dialog> = {}): Dialog => ({
  trunk: 'north',
  node: 5060,
  callId: 'sip-1',
  number: PHONE,
  inviteAt: 1_000,
  pickedUpAt: 1_090,
  answeredAt: 1_100,
  heardOf: true,
  asteriskByeAt: 6_700,
  ...change,
});
const good: Evidence = {
  planned: new Map([[PHONE, 'b-1']]),
  calls: [call()],
  attempts: [attempt()],
  dialogs: [dialog()],
  carrierCalls: [],
  playbacks: [{ attemptId: 'a-1', startedAt: 1_650, finishedAt: 5_655, done: true }],
  callIds: new Map([['a-1', 'sip-1']]),
  trunks: [{ name: 'north', maxChannels: 10, callsPerSecond: 2.5 }],
  noAudioUntil: new Map(),
  pauseMs: PAUSE_MS,
};
const broken = (change: Partial<Evidence>) => [
  ...new Set(verify({ ...good, ...change }).map(({ rule }) => rule)),
];

t.test('nothing is wrong with a good run', async (t) => {
  t.same(verify(good), []);
  t.same(verify({ ...good, callIds: new Map(), playbacks: [] }), [], 'nor where the witness saw nothing');
});

t.test('final outcomes', async (t) => {
  t.same(broken({ calls: [], attempts: [], dialogs: [dialog()] }), [RULES.final, RULES.ledger]);
  t.same(broken({ calls: [call({ state: 'ready' })] }), [RULES.final]);
  t.same(broken({ calls: [call(), call({ id: 'call-2' })] }), [RULES.final]);
  t.same(broken({ calls: [call({ outcome: 'no_audio' })] }), [RULES.final]);
  t.same(
    broken({
      attempts: [
        attempt(),
        attempt({ id: 'a-2', number: 2, state: 'claimed', outcome: null, claimedAt: 8_000 }),
      ],
    }),
    [RULES.final],
  );
  t.ok(
    broken({ calls: [call(), call({ id: 'call-2', phone: '+13035550002' })] }).includes(RULES.final),
    'unplanned',
  );
});

t.test('a phone that was never tried', async (t) => {
  const phone = '+13035550002';
  const planned = new Map([...good.planned, [phone, 'b-1']]);
  const calls = [call(), call({ id: 'call-2', phone, outcome: 'interrupted' })];
  t.same(broken({ planned, calls }), [RULES.tried]);
});

/** The second attempt of the same phone, which heard all of it as well. */
const again = {
  attempt: attempt({ id: 'a-2', number: 2, claimedAt: 8_000 }),
  dialog: dialog({
    callId: 'sip-2',
    inviteAt: 8_010,
    pickedUpAt: 8_020,
    answeredAt: 8_030,
    asteriskByeAt: 13_700,
  }),
  playback: { attemptId: 'a-2', startedAt: 8_600, finishedAt: 12_610, done: true },
};
const first = (change: {
  outcome?: string;
  dialog?: Partial<Dialog>;
  playback?: { startedAt: number; finishedAt?: number };
}) =>
  broken({
    attempts: [attempt({ outcome: change.outcome ?? 'interrupted', interrupted: true }), again.attempt],
    dialogs: [dialog(change.dialog), again.dialog],
    playbacks: [
      ...(change.playback === undefined ? [] : [{ attemptId: 'a-1', ...change.playback }]),
      again.playback,
    ],
    callIds: new Map([
      ['a-1', 'sip-1'],
      ['a-2', 'sip-2'],
    ]),
  });

t.test('the complete message twice', async (t) => {
  t.same(first({ playback: { startedAt: 1_650, finishedAt: 5_655 } }), [RULES.twice]);
  t.same(first({}), [RULES.twice], 'without a witness the length of the call counts');
  t.same(first({ dialog: { asteriskByeAt: 5_000 } }), [], 'a short call is none');
  t.same(
    first({
      dialog: { asteriskByeAt: undefined as never, crashedAt: 6_000 },
      playback: { startedAt: 1_650 },
    }),
    [RULES.twice],
    'Asterisk was killed after the last word',
  );
  t.same(
    first({
      dialog: { asteriskByeAt: undefined as never, crashedAt: 5_500 },
      playback: { startedAt: 1_650 },
    }),
    [],
    'and before it',
  );
  t.same(first({ playback: { startedAt: 4_000 } }), [], 'the message began late: PostgreSQL was away');
  t.same(
    first({ dialog: { carrierByeAt: 4_000 }, playback: { startedAt: 1_650, finishedAt: 5_655 } }),
    [],
    'the phone had gone',
  );
  t.same(
    completeIn(
      dialog(),
      [
        { attemptId: 'a-1', startedAt: 1_650 },
        { attemptId: 'a-1', startedAt: 3_000 },
      ],
      MESSAGE_MS,
      PAUSE_MS,
    ),
    0,
    'a replay ends the playback before it',
  );
});

t.test('caps', async (t) => {
  const many = (count: number, everyMs: number, change: (at: number) => Partial<Dialog>) =>
    Array.from({ length: count }, (_, index) => {
      const at = 100_000 + index * everyMs;
      return dialog({ callId: `c-${index}`, number: `x-${index}`, inviteAt: at, ...change(at) });
    });
  t.same(
    broken({ dialogs: [dialog(), ...many(4, 330, (at) => ({ asteriskByeAt: at + 10 }))] }),
    [RULES.caps],
    'four in 990 ms',
  );
  t.same(
    broken({ dialogs: [dialog(), ...many(4, 334, (at) => ({ asteriskByeAt: at + 10 }))] }),
    [],
    'and in 1,002',
  );
  const eleven = many(11, 500, () => ({ asteriskByeAt: 200_000 }));
  t.same(broken({ dialogs: [dialog(), ...eleven] }), [RULES.caps], 'eleven at once');
  const killed = eleven.map((one, index) => (index < 5 ? { ...one, crashedAt: 104_000 } : one));
  t.same(peaksOf(killed).channels, 8, 'what a crash ended is over');
});

t.test('an INVITE without an attempt', async (t) => {
  t.same(
    broken({ dialogs: [dialog(), dialog({ callId: 'sip-2', inviteAt: 800 })] }),
    [RULES.ledger],
    'before the first claim',
  );
  t.same(
    broken({ dialogs: [dialog(), dialog({ callId: 'sip-2', inviteAt: 9_000 })] }),
    [RULES.ledger],
    'one too many',
  );
});

t.test('outcomes that are not what happened', async (t) => {
  const as = (outcome: string, change: Partial<Dialog>, interrupted = false) =>
    broken({ attempts: [attempt({ outcome, interrupted })], dialogs: [dialog(change)] });
  const refused = {
    pickedUpAt: undefined as never,
    answeredAt: undefined as never,
    asteriskByeAt: undefined as never,
  };
  t.same(as('busy', { ...refused, code: 486, failedAt: 1_010 }), []);
  t.same(as('busy', { ...refused, code: 404, failedAt: 1_010 }), [RULES.honest]);
  t.same(as('unsure', { ...refused, code: 486, failedAt: 1_010 }), [RULES.honest]);
  t.same(as('unsure', { asteriskByeAt: 3_000 }), [RULES.honest]);
  t.same(as('unsure', { asteriskByeAt: 3_000 }, true), [], 'interrupted: it may have been heard');
  t.same(as('partial', {}), [RULES.honest]);
  t.same(as('confirmed', {}), [RULES.honest], 'no key');
  t.same(as('no_answer', { ...refused, cancelledAt: 6_000 }), []);
  t.same(as('no_answer', { ...refused, code: 503, failedAt: 1_010 }), [RULES.honest]);
  t.same(as('unsure', { carrierByeAt: 3_000 }), [], 'a BYE that was lost in a cut: nobody could know');
  t.same(as('unsure', { carrierByeAt: 3_000, carrierByeTakenAt: 3_100 }), [RULES.honest]);
});

t.test('a call whose message could not be rendered yet', async (t) => {
  t.same(broken({ noAudioUntil: new Map([[PHONE, 1_001]]) }), [
    'no call is placed before its message is there',
  ]);
  t.same(broken({ noAudioUntil: new Map([[PHONE, 999]]) }), []);
});

t.test('a call that nobody ended', async (t) => {
  t.same(broken({ dialogs: [dialog({ asteriskByeAt: undefined as never })] }), [RULES.up]);
});

t.test("the link's log becomes dialogs", async (t) => {
  const fact = (
    at: number,
    way: 'in' | 'out',
    what: string,
    about: string,
    more: Partial<LinkFact> = {},
  ): LinkFact => ({
    at,
    outAt: at + 1,
    way,
    what,
    about,
    node: 5060,
    callId: 'sip-1',
    ...more,
  });
  const invite = (at: number, outAt?: number) => {
    const { outAt: _, ...lost } = fact(at, 'out', 'INVITE', 'INVITE', { number: PHONE });
    return outAt === undefined ? lost : { ...lost, outAt };
  };
  const [answered] = readDialogs(
    'north',
    [
      invite(1_000),
      invite(1_250, 1_251),
      fact(1_300, 'in', '200', 'INVITE', { outAt: 1_600 }),
      fact(1_800, 'in', '200', 'INVITE'),
      fact(5_000, 'out', 'BYE', 'BYE', { outAt: 5_400 }),
      fact(5_250, 'out', 'BYE', 'BYE'),
      fact(5_500, 'in', '200', 'BYE'),
    ],
    [],
  );
  t.match(answered, {
    inviteAt: 1_000,
    pickedUpAt: 1_300,
    answeredAt: 1_600,
    asteriskByeAt: 5_000,
    number: PHONE,
  });
  t.equal(answered === undefined ? 0 : endOf(answered), 5_000, 'the first BYE, when it left Asterisk');

  const [dead] = readDialogs('north', [invite(1_000), invite(1_250)], []);
  t.equal(dead === undefined ? 0 : endOf(dead), 17_000, 'Timer B ends what nobody answers');

  const crashes = [
    { node: 5061, at: 1_500 },
    { node: 5060, at: 2_000 },
  ];
  const [killed] = readDialogs('north', [invite(1_000, 1_001), fact(1_010, 'in', '180', 'INVITE')], crashes);
  t.equal(killed?.crashedAt, 2_000, 'its own node, not the other');
});
