/**
 * What the simulated carrier does, by the last two digits of the dialled number. This table is the
 * single source: scenario.ts makes the SIPp scenario from it, and the table in ../README.md is what
 * `behaviourTable()` returns. To add a behaviour, add an entry here.
 */

/** Sounds that audio.ts makes; `keys-…` ones hold RFC 4733 digits too. */
export type Sound = 'hello' | 'greeting' | 'announcement' | 'keys-1' | 'keys-2' | 'keys-12' | 'keys-9';

/** What happens after the provisional answers. */
export type Ending =
  /**
   * Answers with 200. `speaks` starts with the ACK. The carrier hangs up `hangsUpAfterMs` after the
   * ACK; without it, the call lasts until the engine's BYE. `garblesFirst`: before the 200 come two
   * responses that are no SIP.
   */
  | { kind: 'answer'; speaks?: Sound; hangsUpAfterMs?: number; garblesFirst?: boolean }
  /** Final failure. `header` is one more SIP header line. */
  | { kind: 'refuse'; code: number; phrase: string; header?: string }
  /** Rings until the engine cancels. `answersCancel`: picks up in that moment, so that a 200 follows the CANCEL. */
  | { kind: 'ring'; answersCancel?: boolean }
  /** Answers, and hangs up without waiting for the ACK. */
  | { kind: 'bye-before-ack' }
  /** Never sends anything, not even 100. */
  | { kind: 'ignore' };

export interface Behaviour {
  name: string;
  /** Last two digits of the dialled numbers, each in one behaviour only. */
  digits: string[];
  does: string;
  /** Sends this provisional answer, then waits `ms` before the ending. 183 carries `speaks`. */
  before?: { code: 180 | 183; ms: number; speaks?: Sound };
  ending: Ending;
  /**
   * What Asterisk 22.10.1 reports in ChannelDestroyed: `sipCode` is `tech_cause`, which answered calls
   * lack, and `cause` is Q.850. See ../README.md for who must hang up.
   */
  expect: { answered: boolean; sipCode?: number; cause: number };
}

/** The engine hangs up: DELETE without a reason. */
const answered = { answered: true, cause: 16 };
/** The carrier hangs up, and its BYE has no Reason header. */
const hungUp = { answered: true, cause: 0 };
const refused = (code: number, phrase: string, cause: number, header?: string) => ({
  ending: { kind: 'refuse' as const, code, phrase, ...(header === undefined ? {} : { header }) },
  expect: { answered: false, sipCode: code, cause },
});

/** Every number that no other entry takes: most numbers are people who answer. */
export const person: Behaviour = {
  name: 'person',
  digits: [],
  does: 'Answers at once, says "Hello?", stays until BYE',
  ending: { kind: 'answer', speaks: 'hello' },
  expect: answered,
};

export const behaviours: readonly Behaviour[] = [
  {
    name: 'late-answer',
    digits: ['70'],
    does: 'Rings 4 s (180), then is a person',
    before: { code: 180, ms: 4000 },
    ending: { kind: 'answer', speaks: 'hello' },
    expect: answered,
  },
  { name: 'busy', digits: ['71'], does: 'Busy', ...refused(486, 'Busy Here', 17) },
  {
    name: 'no-answer',
    digits: ['72'],
    does: 'Rings (180) until CANCEL, then 487',
    before: { code: 180, ms: 0 },
    ending: { kind: 'ring' },
    expect: { answered: false, sipCode: 480, cause: 19 },
  },
  {
    name: 'voicemail',
    digits: ['73', '74'],
    does: 'Rings 1 s (180), answers with a greeting of about 4 s and a beep (1 kHz, 0.4 s), then records until BYE',
    before: { code: 180, ms: 1000 },
    ending: { kind: 'answer', speaks: 'greeting' },
    expect: answered,
  },
  { name: 'bad-number', digits: ['75'], does: 'Number not found', ...refused(404, 'Not Found', 1) },
  { name: 'gone', digits: ['76'], does: 'Number no longer in service', ...refused(410, 'Gone', 22) },
  {
    name: 'incomplete',
    digits: ['77'],
    does: 'Number incomplete',
    ...refused(484, 'Address Incomplete', 28),
  },
  {
    name: 'blocked',
    digits: ['78'],
    does: "Blocked by the carrier's analytics: 603 with a Reason header, after ATIS-1000099",
    ...refused(
      603,
      'Network Blocked',
      21,
      'Reason: Q.850;cause=21;text="v=analytics1;url=https://carrier.example/redress"',
    ),
  },
  {
    name: 'declined',
    digits: ['79'],
    does: 'The callee declines: plain 603',
    ...refused(603, 'Decline', 21),
  },
  {
    name: 'overloaded',
    digits: ['80'],
    does: 'Service unavailable (calls per second exceeded, or outage)',
    ...refused(503, 'Service Unavailable', 34),
  },
  {
    name: 'unavailable',
    digits: ['81'],
    does: 'Temporarily unavailable (phone switched off)',
    ...refused(480, 'Temporarily Unavailable', 19),
  },
  {
    name: 'early-hang-up',
    digits: ['82'],
    does: 'Answers, says "Hello?", hangs up 2.5 s after the ACK',
    ending: { kind: 'answer', speaks: 'hello', hangsUpAfterMs: 2500 },
    expect: hungUp,
  },
  {
    name: 'hang-up-at-once',
    digits: ['83'],
    does: 'Answers, hangs up as soon as the ACK is there',
    ending: { kind: 'answer', hangsUpAfterMs: 0 },
    expect: hungUp,
  },
  {
    name: 'press-1',
    digits: ['84'],
    does: 'Answers, says "Hello?", presses 1 three seconds after the ACK',
    ending: { kind: 'answer', speaks: 'keys-1' },
    expect: answered,
  },
  {
    name: 'press-2',
    digits: ['85'],
    does: 'Answers, says "Hello?", presses 2 three seconds after the ACK',
    ending: { kind: 'answer', speaks: 'keys-2' },
    expect: answered,
  },
  {
    name: 'press-1-2',
    digits: ['86'],
    does: 'Answers, says "Hello?", presses 1 and 2 three seconds after the ACK, 60 ms between the digits',
    ending: { kind: 'answer', speaks: 'keys-12' },
    expect: answered,
  },
  {
    name: 'press-9',
    digits: ['87'],
    does: 'Answers, says "Hello?", presses 9 three seconds after the ACK',
    ending: { kind: 'answer', speaks: 'keys-9' },
    expect: answered,
  },
  {
    name: 'codec-refused',
    digits: ['88'],
    does: 'No common codec',
    ...refused(488, 'Not Acceptable Here', 58),
  },
  {
    name: 'forbidden',
    digits: ['89'],
    does: 'Not allowed (credit, caller number)',
    ...refused(403, 'Forbidden', 21),
  },
  {
    name: 'silent',
    digits: ['90'],
    does: 'Answers, never sends audio, stays until BYE',
    ending: { kind: 'answer' },
    expect: answered,
  },
  {
    name: 'unresponsive',
    digits: ['91'],
    does: 'No response to the INVITE at all',
    ending: { kind: 'ignore' },
    expect: { answered: false, sipCode: 408, cause: 18 },
  },
  {
    name: 'early-media',
    digits: ['92'],
    does: 'Announcement as early media (183, 3 s), then is a person',
    before: { code: 183, ms: 3000, speaks: 'announcement' },
    ending: { kind: 'answer', speaks: 'hello' },
    expect: answered,
  },
  {
    name: 'bye-before-ack',
    digits: ['93'],
    does: 'Answers and hangs up at once: its BYE does not wait for the ACK',
    ending: { kind: 'bye-before-ack' },
    expect: hungUp,
  },
  {
    name: 'answer-after-cancel',
    digits: ['94'],
    does: 'Rings (180) until CANCEL, and answers in that moment: 200 to the INVITE instead of 487',
    before: { code: 180, ms: 0 },
    ending: { kind: 'ring', answersCancel: true },
    expect: { answered: false, sipCode: 480, cause: 19 },
  },
  {
    name: 'rate-limited',
    digits: ['95'],
    does: 'Too many calls a second: 429 with Retry-After',
    ...refused(429, 'Too Many Requests', 127, 'Retry-After: 1'),
  },
  {
    name: 'garbled',
    digits: ['96'],
    does: 'Sends two responses that are no SIP, then is a person',
    ending: { kind: 'answer', speaks: 'hello', garblesFirst: true },
    expect: answered,
  },
];

/** @returns the behaviour of a number, which may be written with or without `+`. */
export function behaviourOf(number: string): Behaviour {
  const digits = number.slice(-2);
  return behaviours.find((behaviour) => behaviour.digits.includes(digits)) ?? person;
}

/** @returns the Markdown table of all behaviours, as it stands in ../README.md. */
export function behaviourTable(): string {
  const row = ({ name, digits, does, expect }: Behaviour) =>
    `| ${digits.join(', ') || 'all others'} | \`${name}\` | ${does} | ${expect.answered ? 'yes' : 'no'} | ${expect.sipCode ?? 'none'} | ${expect.cause} |`;
  return [
    '| last digits | behaviour | what the carrier does | answered | SIP code (`tech_cause`) | Q.850 cause |',
    '| --- | --- | --- | --- | --- | --- |',
    row(person),
    ...behaviours.map(row),
  ].join('\n');
}
