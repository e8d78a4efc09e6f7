import rrule, { type Options } from 'rrule';
import { wallTime } from './zoned-time.ts';

/**
 * The text of recurrence rules (RFC 5545, sections 3.3.10 and 3.8.5), checked part by part, since rrule
 * takes whatever it gets.
 */

const { RRule } = rrule;

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;

/** What a rule without DTSTART counts from: a Monday and a 1 January. */
const ANCHOR_MS = Date.UTC(2001, 0, 1);

export interface ParsedRule {
  options: Partial<Options>;
  /** Floating milliseconds, as are all times here. */
  startMs: number;
  untilMs: number | undefined;
  /** Excluded occurrences, and whole days by their midnight. */
  excluded: ReadonlySet<number>;
  excludedDays: ReadonlySet<number>;
}

/** Why a rule is refused; its sentence is for people. */
export class RuleProblem extends Error {}

const FREQUENCIES: Readonly<Record<string, number>> = {
  YEARLY: RRule.YEARLY,
  MONTHLY: RRule.MONTHLY,
  WEEKLY: RRule.WEEKLY,
  DAILY: RRule.DAILY,
  HOURLY: RRule.HOURLY,
  MINUTELY: RRule.MINUTELY,
};
const WEEKDAYS = {
  MO: RRule.MO,
  TU: RRule.TU,
  WE: RRule.WE,
  TH: RRule.TH,
  FR: RRule.FR,
  SA: RRule.SA,
  SU: RRule.SU,
};

/** Lists of numbers: rrule's name, the range, whether it may count from the end, and in which frequencies. */
const NUMBER_PARTS: Readonly<Record<string, NumberPart>> = {
  BYMONTH: { option: 'bymonth', from: 1, to: 12 },
  BYMONTHDAY: { option: 'bymonthday', from: 1, to: 31, fromEnd: true, never: ['WEEKLY'] },
  BYYEARDAY: { option: 'byyearday', from: 1, to: 366, fromEnd: true, only: ['YEARLY'] },
  BYWEEKNO: { option: 'byweekno', from: 1, to: 53, fromEnd: true, only: ['YEARLY'] },
  BYHOUR: { option: 'byhour', from: 0, to: 23 },
  BYMINUTE: { option: 'byminute', from: 0, to: 59 },
  BYSECOND: { option: 'bysecond', from: 0, to: 59 },
  BYSETPOS: { option: 'bysetpos', from: 1, to: 366, fromEnd: true, only: ['YEARLY', 'MONTHLY'] },
};
interface NumberPart {
  option:
    | 'bymonth'
    | 'bymonthday'
    | 'byyearday'
    | 'byweekno'
    | 'byhour'
    | 'byminute'
    | 'bysecond'
    | 'bysetpos';
  from: number;
  to: number;
  fromEnd?: boolean;
  only?: readonly string[];
  never?: readonly string[];
}

/** The parts of a rule. Throws RuleProblem. */
export function parseRule(text: string, zone: string): ParsedRule {
  let rule: string | undefined;
  let startMs: number | undefined;
  const excluded = new Set<number>();
  const excludedDays = new Set<number>();
  // A line that starts with a space goes on with the one before.
  for (const line of text.replaceAll(/\r?\n[ \t]/g, '').split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const { name, parameters, value } = splitLine(line.trim());
    if (name === 'RRULE') {
      if (rule !== undefined) throw new RuleProblem('there must be one RRULE only');
      rule = value;
    } else if (name === 'DTSTART') {
      if (startMs !== undefined) throw new RuleProblem('there must be one DTSTART at most');
      checkParameters(name, parameters, zone);
      startMs = parseLocal(name, value, zone).ms;
      if (/Z$/i.test(value) || startMs < Date.UTC(2000, 0, 1))
        throw new RuleProblem('DTSTART must be local time, without Z, and not before the year 2000');
    } else if (name === 'EXDATE') {
      checkParameters(name, parameters, zone);
      for (const one of value.split(',')) {
        const { ms, wholeDay } = parseLocal(name, one, zone);
        (wholeDay ? excludedDays : excluded).add(ms);
      }
    } else throw new RuleProblem(`${name} is not known; use RRULE, DTSTART and EXDATE`);
  }
  if (rule === undefined) throw new RuleProblem('there is no RRULE; write one such as FREQ=DAILY;BYHOUR=13');
  return { ...parseParts(rule, startMs, zone), excluded, excludedDays };
}

function splitLine(line: string): { name: string; parameters: string[]; value: string } {
  // Without a name it is the bare value of an RRULE.
  const [, head, value] = /^([A-Za-z-]+(?:;[^:]*)?):(.*)$/s.exec(line) ?? [];
  if (head === undefined || value === undefined) return { name: 'RRULE', parameters: [], value: line };
  const [name = '', ...parameters] = head.split(';');
  return { name: name.toUpperCase(), parameters, value };
}

function checkParameters(name: string, parameters: string[], zone: string): void {
  for (const parameter of parameters) {
    const [key = '', value = ''] = parameter.split('=');
    const known =
      (key.toUpperCase() === 'TZID' && value.toLowerCase() === zone.toLowerCase()) ||
      (key.toUpperCase() === 'VALUE' && /^DATE(-TIME)?$/i.test(value));
    if (!known)
      throw new RuleProblem(
        `${name} has ${parameter}; only TZID, equal to the schedule's zone, and VALUE are known`,
      );
  }
}

/** `20260914T133000`, the same with Z for UTC, or `20260914`. */
function parseLocal(name: string, text: string, zone: string): { ms: number; wholeDay: boolean } {
  const match = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?$/i.exec(text.trim());
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match ?? [])
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  if (
    match === null ||
    date.getUTCMonth() !== month - 1 ||
    date.getUTCHours() !== hour ||
    date.getUTCMinutes() !== minute ||
    second > 59
  )
    throw new RuleProblem(`${name} has a date that is none; write one such as 20260914T133000`);
  return { ms: match[7] === undefined ? ms : wallTime(date, zone), wholeDay: match[4] === undefined };
}

function parseParts(
  rule: string,
  startMs: number | undefined,
  zone: string,
): Pick<ParsedRule, 'options' | 'startMs' | 'untilMs'> {
  const parts = new Map<string, string>();
  for (const part of rule.split(';')) {
    const [, key, value] = /^([A-Za-z]+)=(.+)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined)
      throw new RuleProblem(`"${part}" is not of the form NAME=VALUE`);
    if (parts.has(key.toUpperCase())) throw new RuleProblem(`${key.toUpperCase()} is given twice`);
    parts.set(key.toUpperCase(), value.toUpperCase());
  }
  const frequency = parts.get('FREQ') ?? '';
  if (frequency === 'SECONDLY')
    throw new RuleProblem('the rule fires more often than once in 15 minutes; use FREQ=DAILY, say');
  const freq = FREQUENCIES[frequency];
  if (freq === undefined) throw new RuleProblem(`FREQ must be one of ${Object.keys(FREQUENCIES).join(', ')}`);
  const options: Partial<Options> = { freq };
  let untilMs: number | undefined;
  for (const [key, value] of parts) {
    const numbers = NUMBER_PARTS[key];
    if (key === 'FREQ') continue;
    else if (key === 'INTERVAL') options.interval = parseNumber(key, value, 1, 1_000);
    else if (key === 'COUNT') options.count = parseNumber(key, value, 1, 10_000);
    else if (key === 'WKST') options.wkst = parseWeekday(key, value, false);
    else if (key === 'BYDAY')
      options.byweekday = value
        .split(',')
        .map((day) => parseWeekday(key, day, freq <= RRule.MONTHLY && !parts.has('BYWEEKNO')));
    else if (key === 'UNTIL') {
      const until = parseLocal(key, value, zone);
      untilMs = until.wholeDay ? until.ms + DAY_MS - SECOND_MS : until.ms;
    } else if (numbers === undefined) throw new RuleProblem(`${key} is not a part of a recurrence rule`);
    else {
      if (numbers.only?.includes(frequency) === false || numbers.never?.includes(frequency))
        throw new RuleProblem(`${key} cannot be used with FREQ=${frequency}`);
      const list = value
        .split(',')
        .map((one) => parseNumber(key, one, numbers.from, numbers.to, numbers.fromEnd));
      // In order: rrule gives the occurrences of a day in the order of the list.
      options[numbers.option] = [...new Set(list)].sort((a, b) => a - b);
    }
  }
  if (options.count !== undefined && untilMs !== undefined)
    throw new RuleProblem('COUNT and UNTIL exclude each other');
  if (
    options.bysetpos !== undefined &&
    ![...parts.keys()].some((key) => key.startsWith('BY') && key !== 'BYSETPOS')
  )
    throw new RuleProblem('BYSETPOS needs another BY part to choose from');
  if (startMs === undefined) checkComplete(frequency, parts);
  toDaily(options, startMs ?? ANCHOR_MS);
  return { options, startMs: startMs ?? ANCHOR_MS, untilMs };
}

/** What a DTSTART would say has to be in the rule when there is none: nobody means the anchor's midnight. */
function checkComplete(frequency: string, parts: ReadonlyMap<string, string>): void {
  const has = (...keys: string[]) => keys.some((key) => parts.has(key));
  if (has('COUNT')) throw new RuleProblem('COUNT needs a DTSTART line to count from');
  if (!has('BYHOUR') && frequency !== 'HOURLY' && frequency !== 'MINUTELY')
    throw new RuleProblem('the rule does not say at what time; add BYHOUR and BYMINUTE, or a DTSTART line');
  const dayParts = ['BYDAY', 'BYMONTHDAY', 'BYYEARDAY', 'BYWEEKNO'];
  if (['WEEKLY', 'MONTHLY', 'YEARLY'].includes(frequency) && !has(...dayParts))
    throw new RuleProblem('the rule does not say on which day; add BYDAY or BYMONTHDAY, or a DTSTART line');
}

/**
 * Turns an hourly or minutely rule into the daily one that says the same, so that one kind of search is
 * enough. The interval has to divide the hour or the day.
 */
function toDaily(options: Partial<Options>, startMs: number): void {
  const { freq, interval = 1 } = options;
  if (freq !== RRule.HOURLY && freq !== RRule.MINUTELY) return;
  const start = new Date(startMs);
  const everyMinutes = freq === RRule.HOURLY ? interval * 60 : interval;
  if (everyMinutes % 60 === 0 ? 1_440 % everyMinutes !== 0 : 60 % everyMinutes !== 0)
    throw new RuleProblem(
      'INTERVAL must divide the hour or the day evenly; list the times in BYHOUR and BYMINUTE',
    );
  options.byhour = meet(options.byhour, start.getUTCHours(), Math.max(1, everyMinutes / 60), 24);
  if (freq === RRule.MINUTELY)
    options.byminute = meet(options.byminute, start.getUTCMinutes(), everyMinutes, 60);
  options.freq = RRule.DAILY;
  options.interval = 1;
}

/** Every `step` from `start` round the clock of `size`, and of those the ones asked for. */
function meet(asked: Options['byhour'] | undefined, start: number, step: number, size: number): number[] {
  const wanted = listOf(asked);
  const met = Array.from({ length: size }, (_, value) => value).filter(
    (value) =>
      (value - start + size) % Math.min(step, size) === 0 && (wanted.length === 0 || wanted.includes(value)),
  );
  if (met.length === 0) throw new RuleProblem('the rule never fires; its INTERVAL and its times do not meet');
  return met;
}

function parseNumber(key: string, text: string, from: number, to: number, fromEnd = false): number {
  const value = /^[+-]?\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  const size = fromEnd ? Math.abs(value) : value;
  if (!(size >= from && size <= to))
    throw new RuleProblem(
      `${key} must be ${from} to ${to}${fromEnd ? ', or the same below zero from the end' : ''}`,
    );
  return value;
}

function parseWeekday(key: string, text: string, numbered: boolean) {
  const [, nth, name] = /^([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)$/.exec(text) ?? [];
  if (name === undefined) throw new RuleProblem(`${key} must be made of MO, TU, WE, TH, FR, SA and SU`);
  const day = WEEKDAYS[name as keyof typeof WEEKDAYS];
  if (nth === undefined) return day;
  if (!numbered) throw new RuleProblem(`${key} can number its days, as in ${text}, only by month or year`);
  const position = parseNumber(key, nth, 1, 53, true);
  return day.nth(position);
}

/** rrule's options are one value or a list. */
export const listOf = <T>(value: T | T[] | null | undefined): T[] =>
  value == null ? [] : Array.isArray(value) ? value : [value];
