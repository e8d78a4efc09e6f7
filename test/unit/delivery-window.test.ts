import fc from 'fast-check';
import t from 'tap';
import { mayCall, nextOpening, openSpans } from '../../engine/domain/delivery-window.ts';
import { DEFAULT_POLICY } from '../../engine/domain/policy.ts';

const ZONES = [
  'America/Denver',
  'America/Phoenix',
  'America/St_Johns',
  'America/Santiago',
  'America/Havana', // changes at midnight
  'Africa/Casablanca', // takes daylight saving back for Ramadan
  'Africa/Cairo',
  'Asia/Kathmandu',
  'Australia/Lord_Howe', // changes by half an hour
  'Pacific/Apia',
  'Europe/Berlin',
  'UTC',
];
const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

/** The clock of the wall by another way than the engine's: Intl's text. */
const clock = (at: Date, zone: string): string =>
  new Intl.DateTimeFormat('sv-SE', { timeZone: zone, timeStyle: 'short' }).format(at);

/** The instants of a year at which the zone's clock jumps, found by Intl alone. */
function changes(zone: string, year: number): number[] {
  const offset = (ms: number) =>
    new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' })
      .formatToParts(ms)
      .find(({ type }) => type === 'timeZoneName')?.value;
  const found: number[] = [];
  for (let ms = Date.UTC(year, 0, 1); ms < Date.UTC(year + 1, 0, 1); ms += DAY_MS) {
    if (offset(ms) === offset(ms + DAY_MS)) continue;
    let [low, high] = [ms, ms + DAY_MS];
    while (high - low > MINUTE_MS) {
      const middle = low + Math.floor((high - low) / 2 / MINUTE_MS) * MINUTE_MS;
      if (offset(middle) === offset(ms)) low = middle;
      else high = middle;
    }
    found.push(high);
  }
  return found;
}

const nearChanges = ZONES.flatMap((zone) => changes(zone, 2026).map((ms) => ({ zone, ms })));
const anywhere = fc.record({
  zone: fc.constantFrom(...ZONES),
  ms: fc.integer({ min: Date.UTC(2005, 0, 1), max: Date.UTC(2037, 0, 1) }),
});
const nearAChange = fc
  .tuple(fc.constantFrom(...nearChanges), fc.integer({ min: -DAY_MS, max: DAY_MS }))
  .map(([{ zone, ms }, around]) => ({ zone, ms: ms + around }));
const moment = fc.oneof(anywhere, nearAChange);
const timeOfDay = fc
  .integer({ min: 0, max: 1_439 })
  .map((m) => `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`);
const hours = fc.record({
  window: fc.record({ opens: timeOfDay, closes: timeOfDay }),
  blackout: fc.record({ from: timeOfDay, until: timeOfDay }),
});

t.test('no call between 21:00 and 07:00 on the wall, in no zone and on no day', async (t) => {
  t.ok(nearChanges.length >= 16, 'there are changes to test');
  fc.assert(
    fc.property(moment, ({ zone, ms }) => {
      const wall = clock(new Date(ms), zone);
      return mayCall(new Date(ms), zone, DEFAULT_POLICY) === (wall >= '07:00' && wall < '21:00');
    }),
    { numRuns: 5_000 },
  );
});

t.test('the next opening is the first minute that is open, by trying every one', async () => {
  fc.assert(
    fc.property(moment, hours, ({ zone, ms }, policy) => {
      const at = new Date(ms);
      let expected = mayCall(at, zone, policy) ? ms : Math.ceil(ms / MINUTE_MS) * MINUTE_MS;
      const end = ms + 3 * DAY_MS;
      while (expected < end && !mayCall(new Date(expected), zone, policy)) expected += MINUTE_MS;
      return nextOpening(at, zone, policy)?.getTime() === (expected < end ? expected : undefined);
    }),
    { numRuns: 300 },
  );
});

t.test('hours by example', async (t) => {
  const open = (wall: string, window: [string, string], blackout: [string, string]) =>
    mayCall(new Date(`2026-01-15T${wall}:00Z`), 'UTC', {
      window: { opens: window[0], closes: window[1] },
      blackout: { from: blackout[0], until: blackout[1] },
    });
  const none: [string, string] = ['00:00', '00:00'];
  t.equal(open('06:59', ['07:00', '21:00'], none), false);
  t.equal(open('07:00', ['07:00', '21:00'], none), true);
  t.equal(open('20:59', ['07:00', '21:00'], none), true);
  t.equal(open('21:00', ['07:00', '21:00'], none), false);
  t.equal(open('00:30', ['18:00', '01:00'], none), true, 'a window may end after midnight');
  t.equal(open('01:00', ['18:00', '01:00'], none), false);
  t.equal(open('23:45', ['18:00', '01:00'], ['23:30', '02:30']), false, 'the blackout is over everything');
  t.equal(open('03:00', none, none), true, 'equal ends are no limit');
});

t.test('openings by example', async (t) => {
  const next = (at: string, opens: string, closes = '21:00') =>
    nextOpening(new Date(at), 'America/Denver', {
      ...DEFAULT_POLICY,
      window: { opens, closes },
    })?.toISOString();
  t.equal(next('2026-01-15T05:00:30Z', '07:00'), '2026-01-15T14:00:00.000Z', 'from 22:00 to 07:00');
  t.equal(
    next('2026-03-08T05:00:00Z', '07:00'),
    '2026-03-08T13:00:00.000Z',
    'the night that is an hour short',
  );
  t.equal(
    next('2026-11-01T04:00:00Z', '07:00'),
    '2026-11-01T14:00:00.000Z',
    'the night that is an hour long',
  );
  t.equal(
    next('2026-03-08T08:00:00Z', '02:45'),
    '2026-03-08T09:00:00.000Z',
    'skipped 02:45: at once at 03:00',
  );
  t.equal(next('2026-01-15T05:00:30Z', '23:40', '02:00'), undefined, 'the blackout covers the window');
});

t.test('open spans: as long as may be called, over nights and clock changes, until the end', async (t) => {
  const hours = { window: { opens: '07:00', closes: '21:00' }, blackout: { from: '12:00', until: '13:30' } };
  const zone = 'America/Denver';
  // 7 March 2026, 10:00; the clock goes forward in the following night.
  const at = new Date('2026-03-07T17:00:00Z');
  const until = new Date('2026-03-08T18:00:00Z');
  const spans = openSpans(at, until, zone, hours);
  const hour = 3_600_000;
  t.same(spans, [
    { fromMs: 0, untilMs: 2 * hour },
    { fromMs: 3.5 * hour, untilMs: 11 * hour },
    { fromMs: 20 * hour, untilMs: 25 * hour },
  ]);
  const always = { window: { opens: '00:00', closes: '00:00' }, blackout: { from: '00:00', until: '00:00' } };
  t.same(openSpans(at, until, zone, always), [{ fromMs: 0, untilMs: 25 * hour }]);
  const never = { window: { opens: '07:00', closes: '08:00' }, blackout: { from: '06:00', until: '09:00' } };
  t.same(openSpans(at, until, zone, never), []);
});
