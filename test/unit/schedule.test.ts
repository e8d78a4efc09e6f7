import fc from 'fast-check';
import t from 'tap';
import { checkRule, latestOccurrence, nextOccurrence } from '../../engine/domain/schedule.ts';
import { endOfDate, instantOf, localDate, wallTime } from '../../engine/domain/zoned-time.ts';

const DENVER = 'America/Denver';
const HOUR_MS = 3_600_000;

function occurrences(rule: string, zone: string, after: string, count: number): string[] {
  const found: string[] = [];
  let at: Date | null = new Date(after);
  while (found.length < count) {
    at = nextOccurrence(rule, zone, at);
    if (at === null) break;
    found.push(at.toISOString().replace(':00.000Z', 'Z').replace('.000Z', 'Z'));
  }
  return found;
}

t.test('rules that are taken', async (t) => {
  for (const rule of [
    'FREQ=DAILY;BYHOUR=14;BYMINUTE=3;BYSECOND=20',
    'RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=13;BYMINUTE=30',
    'rrule:freq=weekly;byday=mo;byhour=9',
    'DTSTART;TZID=America/Denver:20260824T133000\nRRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:20261126,20261127',
    'DTSTART:20260824T133000\r\nRRULE:FREQ=DAILY;COUNT=5\r\nEXDATE:20260825T133000',
    'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=15',
    'FREQ=MONTHLY;BYDAY=2TU;BYHOUR=15',
    'FREQ=HOURLY;INTERVAL=2;BYDAY=SA',
    'FREQ=MINUTELY;INTERVAL=15',
    'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=9',
    'FREQ=DAILY;BYHOUR=9;UNTIL=20270604',
    'FREQ=WEEKLY;BYDAY=MO;\n BYHOUR=9',
  ])
    t.same(checkRule(rule, DENVER), { ok: true }, JSON.stringify(rule));
});

t.test('rules that are refused, with a sentence', async (t) => {
  const cases: [string, RegExp][] = [
    ['', /no RRULE/],
    ['every day at noon', /not of the form/],
    ['FREQ=FORTNIGHTLY;BYHOUR=9', /FREQ must be one of/],
    ['BYHOUR=9', /FREQ must be one of/],
    ['FREQ=DAILY', /at what time/],
    ['FREQ=WEEKLY;BYHOUR=9', /on which day/],
    ['FREQ=DAILY;BYHOUR=9;COUNT=3', /DTSTART line to count from/],
    ['FREQ=DAILY;BYHOUR=24', /BYHOUR must be 0 to 23/],
    ['FREQ=DAILY;BYHOUR=9;BYMONTH=13', /BYMONTH must be 1 to 12/],
    ['FREQ=DAILY;BYHOUR=9;BYMONTHDAY=0', /BYMONTHDAY must be 1 to 31/],
    ['FREQ=DAILY;BYHOUR=9;BYEASTER=1', /BYEASTER is not a part/],
    ['FREQ=DAILY;BYHOUR=9;BYHOUR=10', /given twice/],
    ['FREQ=DAILY;BYHOUR=9;INTERVAL=0', /INTERVAL must be 1/],
    ['FREQ=DAILY;BYHOUR=9;BYDAY=XX', /BYDAY must be made of/],
    ['FREQ=WEEKLY;BYHOUR=9;BYDAY=2MO', /only by month or year/],
    ['FREQ=WEEKLY;BYHOUR=9;BYDAY=MO;BYSETPOS=2', /BYSETPOS cannot be used/],
    ['FREQ=WEEKLY;BYHOUR=9;BYMONTHDAY=2', /BYMONTHDAY cannot be used/],
    ['FREQ=YEARLY;BYHOUR=9;BYSETPOS=2;BYDAY=MO\nRRULE:FREQ=DAILY', /one RRULE only/],
    ['DTSTART:20260824T133000\nRRULE:FREQ=DAILY;COUNT=2;UNTIL=20270101', /exclude each other/],
    ['DTSTART:20260824T133000Z\nRRULE:FREQ=DAILY', /without Z/],
    ['DTSTART:20260231T133000\nRRULE:FREQ=DAILY', /DTSTART has a date that is none/],
    ['DTSTART;TZID=Europe/Berlin:20260824T133000\nRRULE:FREQ=DAILY', /equal to the schedule's zone/],
    ['RDATE:20260824T133000\nRRULE:FREQ=DAILY;BYHOUR=9', /RDATE is not known/],
    ['FREQ=SECONDLY', /more often/],
    ['FREQ=MINUTELY;INTERVAL=10', /more often/],
    ['FREQ=DAILY;BYHOUR=9;BYMINUTE=0,14', /more often/],
    ['FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0,50', /more often/],
    ['FREQ=HOURLY;BYMINUTE=5,55', /more often/],
    ['FREQ=HOURLY;INTERVAL=5', /divide the hour or the day/],
    ['FREQ=HOURLY;INTERVAL=2;BYHOUR=9', /never fires/],
    ['FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=9', /never fires/],
    ['FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=9', /never fires/],
    ['FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=31;BYHOUR=9', /never fires/],
    ['FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6;BYHOUR=9', /never fires/],
    ['DTSTART:20260824T133000\nRRULE:FREQ=DAILY;UNTIL=20250101', /never fires/],
    ['DTSTART:20260824T133000\nRRULE:FREQ=DAILY;COUNT=1\nEXDATE:20260824T133000', /never fires/],
  ];
  for (const [rule, problem] of cases) {
    const started = performance.now();
    t.match(checkRule(rule, DENVER), { ok: false, problem }, JSON.stringify(rule));
    // rrule by itself looks for 30 February for 14 s.
    t.ok(performance.now() - started < 1_000, 'does not hold the engine up');
  }
});

t.test('zones', async (t) => {
  for (const zone of ['', 'Denver', 'America/Nowhere', '+05:00', 'UTC+5', '../etc/passwd'])
    t.match(checkRule('FREQ=DAILY;BYHOUR=9', zone), { ok: false, problem: /IANA/ }, zone);
});

t.test('occurrences, on the wall clock', async (t) => {
  const cases: [string, string, string, string[]][] = [
    ['FREQ=DAILY;BYHOUR=14;BYMINUTE=3;BYSECOND=20', DENVER, '2026-07-01T00:00:00Z', ['2026-07-01T20:03:20Z']],
    // 13:30 stays 13:30: UTC-7 before, UTC-6 after 8 March.
    [
      'FREQ=DAILY;BYHOUR=13;BYMINUTE=30',
      DENVER,
      '2026-03-07T00:00:00Z',
      ['2026-03-07T20:30Z', '2026-03-08T19:30Z'],
    ],
    // 02:30 does not exist on 8 March: an hour later, once.
    [
      'FREQ=DAILY;BYHOUR=2;BYMINUTE=30',
      DENVER,
      '2026-03-07T00:00:00Z',
      ['2026-03-07T09:30Z', '2026-03-08T09:30Z', '2026-03-09T08:30Z'],
    ],
    // 02:30 and 03:30 fall together on 8 March.
    [
      'FREQ=DAILY;BYHOUR=2,3;BYMINUTE=30',
      DENVER,
      '2026-03-08T07:00:00Z',
      ['2026-03-08T09:30Z', '2026-03-09T08:30Z', '2026-03-09T09:30Z'],
    ],
    // 01:30 comes twice on 1 November: the first time only.
    [
      'FREQ=DAILY;BYHOUR=1;BYMINUTE=30',
      DENVER,
      '2026-10-31T12:00:00Z',
      ['2026-11-01T07:30Z', '2026-11-02T08:30Z'],
    ],
    // Half an hour is skipped at 02:00: 02:10 comes after 02:30 by the clock, and both fire.
    [
      'FREQ=DAILY;BYHOUR=2;BYMINUTE=10,30',
      'Australia/Lord_Howe',
      '2026-10-03T15:00:00Z',
      ['2026-10-03T15:30Z', '2026-10-03T15:40Z', '2026-10-04T15:10Z'],
    ],
    // Samoa had no 30 December 2011.
    [
      'FREQ=DAILY;BYHOUR=12',
      'Pacific/Apia',
      '2011-12-29T00:00:00Z',
      ['2011-12-29T22:00Z', '2011-12-30T22:00Z', '2011-12-31T22:00Z'],
    ],
    [
      'FREQ=WEEKLY;BYDAY=FR,MO;BYHOUR=9',
      'UTC',
      '2026-09-10T00:00:00Z',
      ['2026-09-11T09:00Z', '2026-09-14T09:00Z'],
    ],
    // Every other week from the week of DTSTART, whose Monday is already over.
    [
      'DTSTART:20260902T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE',
      'UTC',
      '2026-01-01T00:00:00Z',
      ['2026-09-02T09:00Z', '2026-09-14T09:00Z', '2026-09-16T09:00Z', '2026-09-28T09:00Z'],
    ],
    // Holidays: a day, and an occurrence in UTC.
    [
      'DTSTART:20261124T133000\nRRULE:FREQ=DAILY;COUNT=5\nEXDATE;VALUE=DATE:20261126\nEXDATE:20261127T203000Z',
      DENVER,
      '2026-01-01T00:00:00Z',
      ['2026-11-24T20:30Z', '2026-11-25T20:30Z', '2026-11-28T20:30Z'],
    ],
    // A date as the end is in.
    ['FREQ=DAILY;BYHOUR=9;UNTIL=20260602', 'UTC', '2026-06-01T09:00:00Z', ['2026-06-02T09:00Z']],
    // An end in UTC is that instant: 09:00 in Denver is 15:00 UTC.
    [
      'FREQ=DAILY;BYHOUR=9;UNTIL=20260602T150000Z',
      DENVER,
      '2026-06-01T00:00:00Z',
      ['2026-06-01T15:00Z', '2026-06-02T15:00Z'],
    ],
    ['FREQ=HOURLY;INTERVAL=8', 'UTC', '2026-06-01T09:00:00Z', ['2026-06-01T16:00Z', '2026-06-02T00:00Z']],
    [
      'FREQ=MINUTELY;INTERVAL=30;BYHOUR=9',
      'UTC',
      '2026-06-01T09:00:00Z',
      ['2026-06-01T09:30Z', '2026-06-02T09:00Z'],
    ],
    [
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=9',
      'UTC',
      '2026-05-15T00:00:00Z',
      ['2026-05-29T09:00Z', '2026-06-30T09:00Z'],
    ],
    [
      'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=9',
      'UTC',
      '2026-05-15T00:00:00Z',
      ['2028-02-29T09:00Z', '2032-02-29T09:00Z'],
    ],
    ['DTSTART:20260601T090000\nRRULE:FREQ=YEARLY', 'UTC', '2026-06-01T09:00:00Z', ['2027-06-01T09:00Z']],
  ];
  for (const [rule, zone, after, expected] of cases)
    t.same(occurrences(rule, zone, after, expected.length), expected, `${rule} in ${zone}`);
  t.equal(nextOccurrence('FREQ=DAILY;BYHOUR=9;UNTIL=20260602', 'UTC', new Date('2026-06-02T09:00Z')), null);
});

const zones = fc.constantFrom(
  DENVER,
  'Europe/Berlin',
  'Australia/Lord_Howe',
  'America/Havana',
  'Asia/Kolkata',
);
const instants = fc.date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true });
const daily = fc
  .record({
    hours: fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { minLength: 1, maxLength: 4 }),
    minute: fc.integer({ min: 0, max: 59 }),
    interval: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ hours, minute, interval }) => ({
    rule: `FREQ=DAILY;INTERVAL=${interval};BYHOUR=${hours.join()};BYMINUTE=${minute}`,
    hours,
    minute,
    interval,
  }));

t.test('a daily rule fires at its wall times, each once, and at nothing else', async () => {
  fc.assert(
    fc.property(zones, instants, daily, (zone, after, { rule, hours, minute, interval }) => {
      // By hand: every wall time of the days around, as instants, in order, without doubles.
      const firstDay = Math.floor(wallTime(after, zone) / (24 * HOUR_MS)) - 1;
      const anchorDay = Date.UTC(2001, 0, 1) / (24 * HOUR_MS);
      const expected = Array.from({ length: 8 }, (_, index) => firstDay + index)
        .filter((day) => (day - anchorDay) % interval === 0)
        .flatMap((day) => hours.map((hour) => instantOf((day * 24 + hour) * HOUR_MS + minute * 60_000, zone)))
        .map((at) => at.getTime())
        .filter((at) => at > after.getTime());
      const [first] = [...new Set(expected)].sort((a, b) => a - b);
      return nextOccurrence(rule, zone, after)?.getTime() === first;
    }),
    { numRuns: 2_000 },
  );
});

t.test('the latest occurrence is the one that walking would find', async () => {
  fc.assert(
    fc.property(
      zones,
      instants,
      daily,
      fc.integer({ min: 0, max: 40 * 24 }),
      (zone, start, { rule }, hours) => {
        const first = nextOccurrence(rule, zone, start);
        if (first === null) return false;
        const until = new Date(first.getTime() + hours * HOUR_MS);
        let expected = first;
        for (let next: Date | null = first; next !== null && next <= until; ) {
          expected = next;
          next = nextOccurrence(rule, zone, next);
        }
        return latestOccurrence(rule, zone, first, until).getTime() === expected.getTime();
      },
    ),
    { numRuns: 200 },
  );
});

t.test('local days', async (t) => {
  const late = new Date('2026-03-08T05:30:00Z');
  t.equal(localDate(late, DENVER), '2026-03-07');
  t.equal(endOfDate('2026-03-07', DENVER).toISOString(), '2026-03-08T07:00:00.000Z');
  t.equal(endOfDate('2026-03-08', DENVER).toISOString(), '2026-03-09T06:00:00.000Z');
});
