import { formatTable } from './table.ts';

export interface Totals {
  recipients: number;
  byOutcome: Record<string, number>;
  pending: number;
  heard: Record<string, number>;
  total: number;
}

export interface TrackingReport {
  date: string;
  sites: (Totals & { code: string; name: string })[];
  district: Totals;
}

/** In the order a clerk reads them: reached, perhaps reached, not reached. */
const OUTCOME_NAMES: Record<string, string> = {
  confirmed: 'confirmed by key',
  heard: 'heard to the end',
  voicemail: 'left on voicemail',
  unsure: 'played to the end, person or machine unsure',
  partial: 'heard in part',
  screened: 'screened',
  not_heard: 'answered, nothing heard',
  busy: 'busy',
  no_answer: 'no answer',
  declined: 'declined',
  blocked: 'blocked by analytics',
  bad_number: 'bad number',
  no_number: 'no number',
  trunk_failure: 'trunk failure',
  rate_limited: 'rate limited by the carrier',
  trunk_refused: 'trunk refused us',
  no_common_codec: 'no common codec',
  interrupted: 'interrupted',
  failed: 'failed',
  no_audio: 'message could not be rendered',
  expired: 'expired',
  stopped: 'stopped',
};
const HEARD_NAMES: Record<string, string> = {
  confirmed: 'confirmed by key',
  full: 'heard to the end',
  unsure: 'played to the end, to whom unsure',
  partial: 'in part',
  voicemail: 'on voicemail',
  voicemail_partial: 'on voicemail in part',
  screened: 'screened',
  none: 'not heard',
};

/** The Message Tracking report per school, as text; each column's total is its school's recipients. */
export function printReport({ date, sites, district }: TrackingReport): string {
  const columns: Totals[] = [...sites, district];
  const header = ['', ...sites.map(({ code }) => code), 'district'];
  const section = (
    title: string,
    names: Record<string, string>,
    pick: (totals: Totals) => Record<string, number>,
  ) => {
    const rows = Object.entries(names)
      .map(([key, name]): (string | number)[] => [name, ...columns.map((totals) => pick(totals)[key] ?? 0)])
      .filter(([, ...counts]) => counts.some((count) => count !== 0));
    const pending = columns.map((totals) => totals.pending);
    if (pending.some((count) => count > 0)) rows.push(['pending', ...pending]);
    const sums = columns.map((totals) =>
      Object.values(pick(totals)).reduce((sum, count) => sum + count, totals.pending),
    );
    rows.push(['TOTAL', ...sums]);
    return `\n${formatTable([title, ...header.slice(1)], rows)}\n`;
  };
  const legend = sites.map(({ code, name }) => `${code} ${name}`).join(', ');
  const recipients = columns.map((totals) => totals.recipients);
  return (
    `\n  Message Tracking, ${date}: ${legend}\n` +
    '  One line for each student and phone; siblings share a call and have a line each.\n' +
    section('What happened', OUTCOME_NAMES, (totals) => totals.byOutcome) +
    section('How much was heard', HEARD_NAMES, (totals) => totals.heard) +
    `\n${formatTable(['Who was to be told', ...header.slice(1)], [['students and phones', ...recipients]])}\n`
  );
}
