import { answerPattern, SPEECH } from '../domain/answer-pattern.ts';
import { openSpans } from '../domain/delivery-window.ts';
import {
  type AnswerPattern,
  type CallGroup,
  type Forecast,
  forecast,
  type LiveCalls,
  NO_HISTORY,
  type OpenSpan,
  type RetryOrder,
  type Work,
} from '../domain/forecast.ts';
import type { Policy } from '../domain/policy.ts';
import type { Category } from '../domain/terms.ts';
import { EVERY_PHONE } from '../store/audience.ts';
import type { Broadcast } from '../store/broadcasts.ts';
import type { Queryable } from '../store/db.ts';
import type { District } from '../store/district.ts';
import {
  activeTrunks,
  answerHistory,
  contenders,
  countAudience,
  endedCalls,
  knownByZone,
  type LiveGroup,
  lengthOfBroadcast,
  liveGroups,
  type WaitingGroup,
  waitingGroups,
  type ZoneCount,
} from '../store/forecast.ts';

/** What is forecast, and how sure its parts are. */
export interface ForecastResult {
  forecast: Forecast;
  basis: {
    calls: number;
    trunks: number;
    callsPerSecond: number;
    channels: number;
    pattern: 'history' | 'default';
    messageMs: number;
    messageLength: 'rendered' | 'estimated';
    /** Waiting calls of other broadcasts that go first, or take turns with these. */
    callsAhead: number;
    callsBeside: number;
  };
}

/** What is to be forecast. */
export interface Subject {
  /** null: not stored. */
  id: string | null;
  category: Category;
  urgency: number;
  expiresAt: Date;
  message: { ms: number; rendered: boolean };
  /** Phones without a call as yet. */
  toPlan: readonly ZoneCount[];
}

/** As the claim orders its calls: see store/ledger.ts. */
const RETRY_ORDER: RetryOrder = 'first';
/** Nobody plans further ahead; a broadcast that lasts longer is forecast for this long. */
const FURTHEST_MS = 7 * 24 * 3_600_000;

/** Forecasts a broadcast, stored or not, as if it ran from `now` on. */
export async function forecastSubject(
  db: Queryable,
  subject: Subject,
  { now, policy }: { now: Date; policy: Policy },
): Promise<ForecastResult> {
  const [trunks, others, live, ended] = await Promise.all([
    activeTrunks(db),
    contenders(db, subject.id),
    liveGroups(db),
    subject.id === null ? { tried: 0 } : endedCalls(db, subject.id),
  ]);
  const rivals = others.filter(({ running, urgency }) => running && urgency <= subject.urgency);
  const waiting = await waitingGroups(
    db,
    [subject.id, ...rivals.map(({ id }) => id)].flatMap((id) => id ?? []),
  );
  const spansOf = spansCache(now, policy);
  const trunkIndex = new Map(trunks.map(({ id }, index) => [id, index]));

  const workOf = (
    id: string | null,
    expiresAt: Date,
    pattern: AnswerPattern,
    planned: CallGroup[],
  ): Work => ({
    groups: [
      ...planned,
      ...waiting
        .filter(({ broadcastId }) => broadcastId === id)
        .map((group) => groupOf(group, spansOf(group.zone, expiresAt))),
    ],
    live: live.flatMap((group) => {
      const trunk = trunkIndex.get(group.trunkId);
      const ours = group.broadcastId === id && trunk !== undefined;
      return ours ? [liveOf(group, trunk, spansOf(group.zone, expiresAt))] : [];
    }),
    pattern,
  });
  const patterns = new Map<Category, Awaited<ReturnType<typeof answerHistory>>>();
  for (const category of new Set([subject.category, ...others.map((other) => other.category)]))
    patterns.set(category, await answerHistory(db, category));
  const patternFor = (category: Category, messageMs: number) =>
    answerPattern(patterns.get(category) ?? [], policy, messageMs);

  const own = patternFor(subject.category, subject.message.ms);
  const planned = subject.toPlan.map(({ zone, count }) => ({
    count,
    open: spansOf(zone, subject.expiresAt),
    dueInMs: 0,
    history: NO_HISTORY,
    tried: false,
  }));
  const work = workOf(subject.id, subject.expiresAt, own.pattern, planned);
  const otherWork: (Work & { moreUrgent: boolean })[] = [];
  for (const other of others) {
    const said = await lengthOfBroadcast(db, other.id, SPEECH);
    const { pattern } = patternFor(other.category, said?.ms ?? subject.message.ms);
    otherWork.push({
      ...workOf(other.id, other.expiresAt, pattern, []),
      moreUrgent: other.urgency < subject.urgency,
    });
  }
  const result = forecast({
    own: work,
    triedBefore: ended.tried,
    others: otherWork,
    trunks,
    policy,
    retryOrder: RETRY_ORDER,
  });
  const count = (parts: readonly { count: number }[]) => parts.reduce((sum, part) => sum + part.count, 0);
  const rivalsWaiting = (moreUrgent: boolean) =>
    count(otherWork.filter((other) => other.moreUrgent === moreUrgent).flatMap(({ groups }) => groups));
  return {
    forecast: result,
    basis: {
      calls: ended.tried + count(work.groups) + count(work.live),
      trunks: trunks.length,
      callsPerSecond: trunks.reduce((sum, trunk) => sum + trunk.callsPerSecond, 0),
      channels: trunks.reduce((sum, trunk) => sum + trunk.maxChannels, 0),
      pattern: own.source,
      messageMs: Math.round(subject.message.ms),
      messageLength: subject.message.rendered ? 'rendered' : 'estimated',
      callsAhead: rivalsWaiting(true),
      callsBeside: rivalsWaiting(false),
    },
  };
}

/** The phones of a stored broadcast's audience that have no call as yet: none once it is prepared. */
export async function stillToPlan(
  db: Queryable,
  broadcast: Pick<Broadcast, 'id' | 'audience' | 'category' | 'schoolDate' | 'preparedAt'>,
  district: Pick<District, 'zone'>,
): Promise<ZoneCount[]> {
  const { audience } = broadcast;
  // Who else heard what is corrected is not known before their calls end.
  if (broadcast.preparedAt !== null || audience.kind === 'reached') return [];
  const all = await countAudience(db, audience, {
    zone: district.zone,
    everyPhone: EVERY_PHONE.has(broadcast.category),
    schoolDate: broadcast.schoolDate,
  });
  const known = new Map((await knownByZone(db, broadcast.id)).map(({ zone, count }) => [zone, count]));
  return all.flatMap(({ zone, count }) => {
    const left = count - (known.get(zone) ?? 0);
    return left > 0 ? [{ zone, count: left }] : [];
  });
}

/** Calls of one broadcast and zone share the array, by which the forecast knows that they ring in the same hours. */
function spansCache(now: Date, policy: Policy): (zone: string, expiresAt: Date) => readonly OpenSpan[] {
  const known = new Map<string, readonly OpenSpan[]>();
  return (zone, expiresAt) => {
    const until = new Date(Math.min(expiresAt.getTime(), now.getTime() + FURTHEST_MS));
    const key = `${zone} ${until.getTime()}`;
    const spans = known.get(key) ?? openSpans(now, until, zone, policy);
    known.set(key, spans);
    return spans;
  };
}

const historyOf = ({ tries, interruptions, trunkFailures }: WaitingGroup | LiveGroup) => ({
  tries,
  interruptions,
  trunkFailures,
});

const groupOf = (group: WaitingGroup, open: readonly OpenSpan[]): CallGroup => ({
  count: group.count,
  open,
  dueInMs: group.dueInMs,
  history: historyOf(group),
  tried: group.tried,
});

const liveOf = (group: LiveGroup, trunk: number, open: readonly OpenSpan[]): LiveCalls => ({
  count: group.count,
  trunk,
  elapsedMs: group.elapsedMs,
  open,
  history: historyOf(group),
});
