import fc from 'fast-check';
import t from 'tap';
import {
  advance,
  type Command,
  MAX_PLAYS,
  resumePlayed,
  resumePlaying,
  type SessionEvent,
  type SessionLimits,
  type SessionResult,
  type Step,
  startSession,
  type TimerName,
} from '../../engine/dialer/session.ts';

const limits: SessionLimits = { ringMs: 30_000, pauseMs: 1_000, keyWaitMs: 2_000, messageMs: 10_000 };

/** Plays a story of [time, event] and returns all commands and the result. */
function tell(
  start: Step,
  story: [number, SessionEvent][],
): { commands: Command[]; results: SessionResult[]; step: Step } {
  let step = start;
  const commands = [...start.commands];
  for (const [at, event] of story) {
    step = advance(step.session, event, at);
    commands.push(...step.commands);
  }
  const results = commands.flatMap((command) => (command.do === 'finish' ? [command.result] : []));
  return { commands, results, step };
}

const timer = (name: TimerName): SessionEvent => ({ type: 'timer', timer: name });
const destroyed = (sipCode: number | null = null, cause = 16): SessionEvent => ({
  type: 'destroyed',
  sipCode,
  cause,
});
const finished = (play: number, done = true): SessionEvent => ({ type: 'playbackFinished', play, done });
const digit = (key: string): SessionEvent => ({ type: 'digit', digit: key });
const answered: [number, SessionEvent][] = [
  [0, { type: 'ringing' }],
  [5_000, { type: 'answered' }],
  [5_010, { type: 'recorded' }],
  [6_000, timer('pause')],
];

const stories: Record<string, { story: [number, SessionEvent][]; expected: Partial<SessionResult> }> = {
  'played to the end, to nobody knows whom': {
    story: [...answered, [16_000, finished(1)], [18_000, timer('keys')], [18_050, destroyed()]],
    expected: { outcome: 'unsure', heard: 'unsure', heardMs: 10_000, interrupted: false },
  },
  'confirmed while it plays': {
    story: [...answered, [9_000, digit('1')], [9_050, destroyed()]],
    expected: { outcome: 'confirmed', heard: 'confirmed', heardMs: 3_000, digits: '1' },
  },
  'confirmed after it': {
    story: [...answered, [16_000, finished(1)], [17_000, digit('1')], [17_050, destroyed()]],
    expected: { outcome: 'confirmed', heardMs: 10_000 },
  },
  'a key that means nothing shows a person': {
    story: [
      ...answered,
      [7_000, digit('7')],
      [16_000, finished(1)],
      [18_000, timer('keys')],
      [18_050, destroyed()],
    ],
    expected: { outcome: 'heard', heard: 'full', digits: '7' },
  },
  'hung up in the middle': {
    story: [...answered, [8_500, destroyed()]],
    expected: { outcome: 'partial', heard: 'partial', heardMs: 2_500 },
  },
  'hung up before a word': {
    story: [...answered.slice(0, 3), [5_500, destroyed()]],
    expected: { outcome: 'not_heard', heard: 'none', heardMs: 0 },
  },
  'replayed, then hung up: the longest stretch counts': {
    story: [...answered, [14_000, digit('2')], [14_010, finished(1, false)], [15_000, destroyed()]],
    expected: { outcome: 'partial', heardMs: 8_000, digits: '2' },
  },
  'replayed to the end': {
    story: [
      ...answered,
      [14_000, digit('2')],
      [24_000, finished(2)],
      [26_000, timer('keys')],
      [26_010, destroyed()],
    ],
    expected: { outcome: 'heard', heard: 'full', heardMs: 10_000 },
  },
  'a playback that failed was not heard': {
    story: [...answered, [6_010, finished(1, false)], [6_510, timer('fault')], [6_550, destroyed()]],
    expected: { outcome: 'failed', heard: 'none', heardMs: 0 },
  },
  'a hang-up also fails the playback, and is told a moment later': {
    story: [...answered, [8_500, finished(1, false)], [8_505, destroyed(null, 0)]],
    expected: { outcome: 'partial', heard: 'partial', heardMs: 2_500 },
  },
  busy: { story: [[100, destroyed(486, 17)]], expected: { outcome: 'busy', sipCode: 486, cause: 17 } },
  'rang out': {
    story: [
      [0, { type: 'ringing' }],
      [30_000, timer('ring')],
      [30_020, destroyed(487, 16)],
    ],
    expected: { outcome: 'no_answer', heard: 'none' },
  },
  'an answer that crosses our CANCEL is hung up without a word': {
    story: [
      [30_000, timer('ring')],
      [30_001, { type: 'answered' }],
      [30_050, destroyed(null, 16)],
    ],
    expected: { outcome: 'no_answer', heardMs: 0 },
  },
  'refused by Asterisk': { story: [[1, { type: 'refused' }]], expected: { outcome: 'trunk_failure' } },
  'lost while it rang': {
    story: [
      [0, { type: 'ringing' }],
      [9_000, { type: 'lost', until: 9_000 }],
    ],
    expected: { outcome: 'interrupted', heard: 'none', interrupted: true },
  },
  'lost in the middle of the message': {
    story: [...answered, [9_000, { type: 'lost', until: 8_000 }]],
    expected: { outcome: 'interrupted', heard: 'partial', heardMs: 2_000, interrupted: true },
  },
  'lost, and it may have been heard to the end': {
    story: [...answered, [60_000, { type: 'lost', until: 16_500 }]],
    expected: { outcome: 'unsure', heard: 'unsure', heardMs: 10_000, interrupted: true },
  },
  'lost after we gave up ringing': {
    story: [
      [0, { type: 'ringing' }],
      [30_000, timer('ring')],
      [35_000, { type: 'lost', until: 35_000 }],
    ],
    expected: { outcome: 'no_answer', interrupted: false },
  },
  'lost after the message': {
    story: [...answered, [16_000, finished(1)], [17_000, { type: 'lost', until: 17_000 }]],
    expected: { outcome: 'unsure', interrupted: false },
  },
  'abandoned at a shutdown': {
    story: [...answered, [9_000, { type: 'abandon' }], [9_050, destroyed()]],
    expected: { outcome: 'interrupted', heard: 'partial', heardMs: 3_000, interrupted: true },
  },
  'abandoned when the message may be over': {
    story: [...answered, [60_000, { type: 'abandon' }], [60_050, destroyed()]],
    expected: { outcome: 'unsure', heard: 'unsure', heardMs: 10_000, interrupted: true },
  },
  'a message that could not be started was not heard': {
    story: [
      ...answered,
      [6_100, { type: 'playRefused', play: 1 }],
      [6_600, timer('fault')],
      [6_650, destroyed()],
    ],
    expected: { outcome: 'failed', heard: 'none', heardMs: 0 },
  },
  'hung up just before the message: not a word of it': {
    story: [...answered, [6_003, { type: 'playRefused', play: 1 }], [6_010, destroyed(null, 0)]],
    expected: { outcome: 'not_heard', heard: 'none', heardMs: 0 },
  },
  'never ends by itself': {
    story: [...answered, [90_000, timer('limit')], [90_050, destroyed()]],
    expected: { outcome: 'partial' },
  },
};
for (const [name, { story, expected }] of Object.entries(stories)) {
  t.test(name, async (t) => {
    const { results } = tell(startSession(limits), story);
    t.equal(results.length, 1);
    t.match(results[0], expected);
  });
}

t.test('the message waits for the ledger', async (t) => {
  const plays = (story: [number, SessionEvent][]) =>
    tell(startSession(limits), story).commands.filter((command) => command.do === 'play').length;
  t.equal(
    plays([
      [0, { type: 'answered' }],
      [1_000, timer('pause')],
    ]),
    0,
  );
  t.equal(
    plays([
      [0, { type: 'answered' }],
      [1_000, timer('pause')],
      [1_500, { type: 'recorded' }],
    ]),
    1,
  );
});

t.test('a stuck key does not play for ever', async (t) => {
  const keys = Array.from({ length: 20 }, (_, index): [number, SessionEvent] => [
    7_000 + index * 100,
    digit('2'),
  ]);
  const { commands } = tell(startSession(limits), [...answered, ...keys]);
  t.equal(commands.filter((command) => command.do === 'play').length, MAX_PLAYS);
});

t.test('a resumed call goes on where it was', async (t) => {
  const playing = tell(resumePlaying(limits, 2, 1_000), [
    [11_000, finished(2)],
    [13_000, timer('keys')],
    [13_010, destroyed()],
  ]);
  t.match(playing.results[0], { outcome: 'unsure', heardMs: 10_000 });
  const unsure = resumePlayed(limits);
  t.ok(unsure.commands.some((command) => command.do === 'hangup'));
  t.match(tell(unsure, [[1, destroyed()]]).results[0], { outcome: 'unsure', heardMs: 10_000 });
});

t.test('a message whose request was lost is asked for again, and counted from then', async (t) => {
  const { commands, results } = tell(startSession(limits), [
    ...answered,
    [8_000, { type: 'playLost', play: 1 }],
    [11_000, destroyed()],
  ]);
  t.same(
    commands.flatMap((command) => (command.do === 'play' ? [command.play] : [])),
    [1, 1],
  );
  t.match(results, [{ outcome: 'partial', heardMs: 3_000 }]);
});

const anyEvent: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.constantFrom<SessionEvent>(
    { type: 'ringing' },
    { type: 'answered' },
    { type: 'recorded' },
    { type: 'refused' },
    { type: 'abandon' },
    timer('ring'),
    timer('pause'),
    timer('keys'),
    timer('fault'),
    timer('limit'),
    destroyed(),
    destroyed(486, 17),
    digit('1'),
    digit('2'),
    digit('#'),
  ),
  fc.record({
    type: fc.constant('playbackFinished' as const),
    play: fc.integer({ min: 1, max: 4 }),
    done: fc.boolean(),
  }),
  fc.record({ type: fc.constant('lost' as const), until: fc.integer({ min: 0, max: 200_000 }) }),
);

t.test(
  'whatever happens in whatever order: one end, never played before it is recorded, shares add up',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), anyEvent), { maxLength: 40 }),
        (steps) => {
          let now = 0;
          let recorded = false;
          let step = startSession(limits);
          const results: SessionResult[] = [];
          for (const [pause, event] of [...steps, [0, destroyed()] as [number, SessionEvent]]) {
            now += pause;
            recorded ||= event.type === 'recorded' && step.session.phase !== 'ended';
            step = advance(step.session, event, now);
            for (const command of step.commands) {
              if (command.do === 'play' && !recorded) return false;
              if (command.do === 'finish') results.push(command.result);
            }
          }
          const [result] = results;
          return (
            results.length === 1 &&
            result !== undefined &&
            result.heardMs >= 0 &&
            result.heardMs <= limits.messageMs &&
            (result.heard !== 'none' || result.heardMs === 0 || result.outcome === 'failed')
          );
        },
      ),
      { numRuns: 2_000 },
    );
  },
);

t.test('a message that may have been heard to its end is never called interrupted', async () => {
  const end = fc.oneof(fc.constant([{ type: 'abandon' }, destroyed()] as SessionEvent[]), fc.constant(null));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60_000 }), end, (after, events) => {
      // The message begins at 6,000; `after` that, the channel is lost or we give up.
      const at = 6_000 + after;
      const last = events ?? [{ type: 'lost', until: at } as SessionEvent];
      const { results } = tell(startSession(limits), [
        ...answered,
        ...last.map((event): [number, SessionEvent] => [at, event]),
      ]);
      return results.length === 1 && after < limits.messageMs === (results[0]?.outcome === 'interrupted');
    }),
  );
});
