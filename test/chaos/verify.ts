/**
 * The ledger against the carriers' log and the links': every rule as a pure function that returns what breaks it.
 *
 * A phone *heard the complete message* when Asterisk played all of it while the phone was on the line. Three
 * sources are needed to say so without false alarms and without a blind spot:
 *
 * - the playback's start and end, from a witness at Asterisk: an answered call may wait for its first word while
 *   PostgreSQL or the engine is away, so the length of the call alone says too much;
 * - when Asterisk hung up, from the link at the moment Asterisk's BYE came to it: the carrier sees a BYE late, or
 *   never when it is lost in a cut, while Asterisk has been silent since;
 * - when the phone hung up, or Asterisk was killed.
 *
 * Where no playback was seen (the witness was connecting anew) the longest possible one counts: from the answer and
 * the pause to the end of the call.
 */
import { type Dialog, endOf, hearingEnd } from './dialogs.ts';
import type { Evidence, LedgerAttempt, Violation } from './evidence.ts';
import type { Playback } from './witness.ts';

/** Playbacks run in steps of 20 ms, and Asterisk's time stamps are whole milliseconds. */
const SLACK_MS = 45;
/** PostgreSQL's clock and the link's are one; between a claim and its INVITE there is always more than this. */
const CLAIM_SLACK_MS = 5;

const ANSWERED = ['confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard'];
/** Final outcomes that no call of such a run may have. */
const NOT_HERE = [
  'failed',
  'no_number',
  'no_audio',
  'expired',
  'stopped',
  'trunk_refused',
  'barred',
  'over_cap',
];
/** SIP codes that an outcome may stand for. */
const CODES: Readonly<Record<string, readonly number[]>> = {
  busy: [486, 600],
  declined: [603],
  blocked: [603, 607, 608],
  bad_number: [404, 410, 484, 604],
  rate_limited: [429, 503],
  no_common_codec: [488, 606],
};

/** Everything that is wrong, by rule; empty if the run is good. */
export function verify(evidence: Evidence): Violation[] {
  const cases = joinAttempts(evidence);
  return [
    ...oneFinalOutcome(evidence),
    ...neverTwice(evidence, cases),
    ...alwaysTried(evidence),
    ...capsHold(evidence),
    ...ledgerFirst(evidence, cases),
    ...honestOutcomes(evidence, cases),
    ...nothingLeftUp(evidence),
    ...neverWithoutAudio(evidence),
  ];
}

/** An attempt with the INVITE that belongs to it. */
export interface Case {
  attempt: LedgerAttempt;
  phone: string;
  dialog: Dialog | undefined;
}

/** Finds each attempt's INVITE: by the Call-ID that the witness saw, or by phone and time. */
export function joinAttempts({ calls, attempts, dialogs, callIds }: Evidence): Case[] {
  const phones = new Map(calls.map(({ id, phone }) => [id, phone]));
  const byCallId = new Map(dialogs.map((dialog) => [dialog.callId, dialog]));
  const byPhone = Map.groupBy(dialogs, ({ number }) => number);
  const named = new Set(callIds.values());
  const ofCall = Map.groupBy(attempts, ({ callId }) => callId);
  return [...ofCall.values()].flatMap((list) => {
    const inOrder = [...list].sort((a, b) => a.number - b.number);
    return inOrder.map((attempt, index): Case => {
      const phone = phones.get(attempt.callId) ?? '';
      const from = attempt.claimedAt - CLAIM_SLACK_MS;
      const until = inOrder[index + 1]?.claimedAt ?? Number.POSITIVE_INFINITY;
      const known = byCallId.get(callIds.get(attempt.id) ?? '');
      const timely = byPhone
        .get(phone)
        ?.find(({ inviteAt, callId }) => inviteAt >= from && inviteAt < until && !named.has(callId));
      return { attempt, phone, dialog: known ?? timely };
    });
  });
}

export function oneFinalOutcome({ planned, calls, attempts }: Evidence): Violation[] {
  const rule = 'every planned call has exactly one final outcome';
  const byPhone = Map.groupBy(calls, ({ phone }) => phone);
  const found: Violation[] = [];
  for (const phone of planned.keys()) {
    const own = byPhone.get(phone) ?? [];
    const [call] = own;
    if (call === undefined || own.length > 1)
      found.push({ rule, phone, what: `${own.length} calls in the ledger` });
    else if (call.state !== 'done' || call.outcome === null)
      found.push({ rule, phone, what: `its call is ${call.state} with the outcome ${call.outcome}` });
    else if (NOT_HERE.includes(call.outcome))
      found.push({ rule, phone, what: `given up as ${call.outcome}` });
  }
  for (const { phone } of calls)
    if (!planned.has(phone)) found.push({ rule, phone, what: 'was never planned' });
  for (const { id, state } of attempts) {
    if (state !== 'ended') found.push({ rule, what: `attempt ${id} is ${state} still` });
  }
  return found;
}

/** Number of times that the message was played to its end in a call; `messageMs` is its length. */
export function completeIn(
  dialog: Dialog,
  playbacks: readonly Playback[],
  messageMs: number,
  pauseMs: number,
): number {
  // Without a 200 Asterisk had nobody to play to.
  if (dialog.answeredAt === undefined) return 0;
  const callEnd = hearingEnd(dialog);
  const starts = playbacks.map(({ startedAt }) => startedAt);
  const stretches =
    playbacks.length === 0
      ? [callEnd - (dialog.answeredAt + pauseMs)]
      : playbacks.map(({ startedAt, finishedAt }) => {
          // A replay ends the playback before it.
          const next = Math.min(Number.POSITIVE_INFINITY, ...starts.filter((at) => at > startedAt));
          return Math.min(finishedAt ?? Number.POSITIVE_INFINITY, next, callEnd) - startedAt;
        });
  return stretches.filter((ms) => ms >= messageMs - SLACK_MS).length;
}

export function neverTwice({ playbacks, pauseMs }: Evidence, cases: readonly Case[]): Violation[] {
  const rule = 'no phone hears the complete message twice';
  const byAttempt = Map.groupBy(playbacks, ({ attemptId }) => attemptId);
  const complete = cases.filter(
    ({ attempt, dialog }) =>
      dialog !== undefined &&
      completeIn(dialog, byAttempt.get(attempt.id) ?? [], attempt.messageMs, pauseMs) > 0,
  );
  const byPhone = Map.groupBy(complete, ({ phone }) => phone);
  return [...byPhone]
    .filter(([, list]) => list.length > 1)
    .map(([phone, list]) => ({
      rule,
      phone,
      what: `heard it in the attempts ${list.map(({ attempt }) => attempt.number).join(' and ')}`,
    }));
}

export function alwaysTried({ planned, dialogs }: Evidence): Violation[] {
  const tried = new Set(dialogs.map(({ number }) => number));
  return [...planned.keys()]
    .filter((phone) => !tried.has(phone))
    .map((phone) => ({ rule: 'no phone is never tried', phone, what: 'no INVITE came to a carrier' }));
}

/** Most INVITEs in any second that begins with one, and most channels at one moment. */
export function peaksOf(dialogs: readonly Dialog[]): { rate: number; channels: number } {
  const times = dialogs.map(({ inviteAt }) => inviteAt).sort((a, b) => a - b);
  let rate = 0;
  let first = 0;
  times.forEach((time, index) => {
    while ((times[first] ?? time) <= time - 1000) first += 1;
    rate = Math.max(rate, index - first + 1);
  });
  const steps = dialogs.flatMap((dialog) => [
    { at: dialog.inviteAt, by: 1 },
    { at: endOf(dialog), by: -1 },
  ]);
  let now = 0;
  let channels = 0;
  for (const { by } of steps.sort((a, b) => a.at - b.at || a.by - b.by)) {
    now += by;
    channels = Math.max(channels, now);
  }
  return { rate, channels };
}

export function capsHold({ dialogs, trunks }: Evidence): Violation[] {
  const rule = 'no trunk exceeds its caps';
  return trunks.flatMap(({ name, maxChannels, callsPerSecond }) => {
    const { rate, channels } = peaksOf(dialogs.filter(({ trunk }) => trunk === name));
    const found: Violation[] = [];
    if (rate > Math.ceil(callsPerSecond))
      found.push({ rule, what: `${name}: ${rate} INVITEs in a second, ${callsPerSecond} are paid for` });
    if (channels > maxChannels)
      found.push({ rule, what: `${name}: ${channels} channels at once, ${maxChannels} are paid for` });
    return found;
  });
}

export function ledgerFirst({ dialogs, planned }: Evidence, cases: readonly Case[]): Violation[] {
  const known = new Set(cases.map(({ dialog }) => dialog?.callId));
  return dialogs
    .filter(({ callId, number }) => planned.has(number) && !known.has(callId))
    .map(({ number, inviteAt }) => ({
      rule: 'every INVITE has an attempt of its own in the ledger',
      phone: number,
      what: `the INVITE of ${new Date(inviteAt).toISOString()} has none`,
    }));
}

/** What an attempt's outcome says must have happened at the carrier. */
export function honestOutcomes(evidence: Evidence, cases: readonly Case[]): Violation[] {
  const rule = 'an outcome is what happened';
  const { playbacks, pauseMs, carrierCalls } = evidence;
  const byAttempt = Map.groupBy(playbacks, ({ attemptId }) => attemptId);
  const pressed = new Set(
    carrierCalls.filter((call) => call.pressed !== undefined).map(({ callId }) => callId),
  );
  return cases.flatMap(({ attempt, phone, dialog }) => {
    const { outcome, interrupted, number } = attempt;
    const lie = (what: string) => [{ rule, phone, what: `attempt ${number} is ${outcome}, but ${what}` }];
    if (outcome === null || outcome === 'interrupted') return [];
    if (ANSWERED.includes(outcome)) {
      if (dialog?.pickedUpAt === undefined) return lie('nobody picked up');
      // What Asterisk could know: a phone that hung up while the trunk was cut seems to be there still.
      const told = { ...dialog };
      if (dialog.carrierByeTakenAt === undefined) delete told.carrierByeAt;
      else told.carrierByeAt = dialog.carrierByeTakenAt;
      const times = completeIn(told, byAttempt.get(attempt.id) ?? [], attempt.messageMs, pauseMs);
      if (['heard', 'unsure'].includes(outcome) && !interrupted && times === 0)
        return lie('the message was not played to its end');
      if (['partial', 'not_heard'].includes(outcome) && times > 0)
        return lie('all of the message was played');
      return outcome === 'confirmed' && !pressed.has(dialog.callId) ? lie('no key was pressed') : [];
    }
    if (dialog === undefined) return outcome === 'trunk_failure' ? [] : lie('there was no INVITE');
    const codes = CODES[outcome];
    if (codes !== undefined)
      return codes.includes(dialog.code ?? 0) ? [] : lie(`the carrier said ${dialog.code ?? 'nothing'}`);
    if (outcome === 'no_answer') {
      // Until it was cancelled, or until its Asterisk died.
      const rang = dialog.cancelledAt !== undefined || dialog.crashedAt !== undefined || !dialog.heardOf;
      return rang || [408, 480, 487].includes(dialog.code ?? 0)
        ? []
        : lie(`the carrier said ${dialog.code ?? 'nothing'}, and nobody cancelled`);
    }
    return [];
  });
}

export function nothingLeftUp({ dialogs }: Evidence): Violation[] {
  return dialogs
    .filter((dialog) => endOf(dialog) === Number.POSITIVE_INFINITY)
    .map(({ number, callId }) => ({
      rule: 'no call is left up',
      phone: number,
      what: `the call ${callId} has no end at the carrier`,
    }));
}

export function neverWithoutAudio({ dialogs, noAudioUntil }: Evidence): Violation[] {
  return dialogs
    .filter(({ number, inviteAt }) => inviteAt < (noAudioUntil.get(number) ?? 0))
    .map(({ number, inviteAt }) => ({
      rule: 'no call is placed before its message is there',
      phone: number,
      what: `its INVITE of ${new Date(inviteAt).toISOString()} left while the disk was full`,
    }));
}
