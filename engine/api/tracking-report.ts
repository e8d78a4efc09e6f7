import { z } from 'zod';
import { type HeardLevel, OUTCOMES, type Outcome } from '../domain/terms.ts';
import type { Queryable } from '../store/db.ts';
import { listSites } from '../store/district.ts';
import {
  type TrackedBroadcast,
  type TrackedOutcome,
  type TrackingCount,
  type TrackingFilter,
  type TrackingLine,
  type TrackingPosition,
  trackedBroadcasts,
  trackingCounts,
  trackingPage,
} from '../store/reports.ts';
import { fieldErrors } from './problem.ts';

/** Lines of a site or of the district; `total` and `recipients` are counted apart and always the same. */
export interface TrackingTotals {
  recipients: number;
  byOutcome: Partial<Record<Outcome, number>>;
  pending: number;
  /** Of calls that are done. */
  heard: Partial<Record<HeardLevel, number>>;
  total: number;
}

export interface TrackingReport {
  date: string;
  broadcasts: TrackedBroadcast[];
  sites: ({ code: string; name: string } & TrackingTotals)[];
  district: TrackingTotals;
  lines: TrackingLine[];
  /** `after` of the next page; null on the last one. */
  next: string | null;
}

/**
 * The Message Tracking report of a day: totals of all its lines, and one page of those with `outcome`.
 * Throws INPUT_INVALID for an `after` that no page gave.
 */
export async function trackingReport(
  db: Queryable,
  query: TrackingFilter & {
    outcome?: TrackedOutcome | undefined;
    after?: string | undefined;
    limit: number;
  },
): Promise<TrackingReport> {
  const after = query.after === undefined ? undefined : positionOf(query.after);
  const [sites, broadcasts, counts, { lines, next }] = await Promise.all([
    listSites(db),
    trackedBroadcasts(db, query),
    trackingCounts(db, query),
    trackingPage(db, { ...query, after }),
  ]);
  return {
    date: query.date,
    broadcasts,
    sites: sites
      .filter(({ code }) => query.site === undefined || code === query.site)
      .map(({ code, name }) => ({ code, name, ...totalsOf(counts.filter(({ site }) => site === code)) })),
    district: totalsOf(counts),
    lines,
    next: next === undefined ? null : Buffer.from(JSON.stringify(next)).toString('base64url'),
  };
}

/** Adds counts up. */
export function totalsOf(counts: readonly TrackingCount[]): TrackingTotals {
  const done = counts.filter(({ outcome }) => outcome !== 'pending');
  const pending = linesOf(counts.filter(({ outcome }) => outcome === 'pending'));
  const byOutcome = Object.fromEntries(
    OUTCOMES.map((each) => [each, linesOf(done.filter(({ outcome }) => outcome === each))] as const).filter(
      ([, lines]) => lines > 0,
    ),
  ) as Partial<Record<Outcome, number>>;
  const heard: Partial<Record<HeardLevel, number>> = {};
  for (const { heard: level, lines } of done) heard[level] = (heard[level] ?? 0) + lines;
  return {
    recipients: linesOf(counts),
    byOutcome,
    pending,
    heard,
    total: Object.values(byOutcome).reduce((sum, lines) => sum + lines, pending),
  };
}

const linesOf = (counts: readonly TrackingCount[]): number =>
  counts.reduce((sum, { lines }) => sum + lines, 0);

const positionSchema = z.strictObject({ site: z.string(), callId: z.uuid(), studentKey: z.guid() });

function positionOf(after: string): TrackingPosition {
  try {
    return positionSchema.parse(JSON.parse(Buffer.from(after, 'base64url').toString()));
  } catch {
    throw fieldErrors('INPUT_INVALID', 'the request is not valid; see errors', [
      { field: 'after', reason: 'must be the `next` of an earlier page' },
    ]);
  }
}
