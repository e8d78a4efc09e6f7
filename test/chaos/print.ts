import type { ChaosResult } from './chaos.ts';
import type { Dialog } from './dialogs.ts';
import { endOf } from './dialogs.ts';
import type { Evidence } from './evidence.ts';
import type { PlannedFault } from './faults.ts';
import type { QuietMoment } from './leaks.ts';
import { completeIn, joinAttempts, peaksOf } from './verify.ts';

const at = (ms: number | null | undefined) =>
  ms === undefined || ms === null || !Number.isFinite(ms) ? '-' : new Date(ms).toISOString().slice(11, 23);

/** The plan as a list, for people. */
export const planLines = (plan: readonly PlannedFault[]): string[] =>
  plan.map(
    ({ number, gapMs, text }) =>
      `${String(number).padStart(4)}  +${(gapMs / 1000).toFixed(1).padStart(4)} s  ${text}`,
  );

const counted = (words: readonly string[]): string =>
  [...Map.groupBy(words, (word) => word)]
    .map(([word, list]): [string, number] => [word, list.length])
    .sort((a, b) => b[1] - a[1])
    .map(([word, count]) => `${word} ${count}`)
    .join(', ');

const dialogLine = (dialog: Dialog): string =>
  `${dialog.trunk} from port ${dialog.node}: INVITE ${at(dialog.inviteAt)}, picked up ${at(dialog.pickedUpAt)}, ` +
  `200 to Asterisk ${at(dialog.answeredAt)}, failed ${dialog.code ?? '-'} ${at(dialog.failedAt)}, ` +
  `CANCEL ${at(dialog.cancelledAt)}, Asterisk's BYE ${at(dialog.asteriskByeAt)}, ` +
  `carrier's BYE ${at(dialog.carrierByeAt)}, crash ${at(dialog.crashedAt)}, over ${at(endOf(dialog))}; ${dialog.callId}`;

/** All that is known of a phone: the ledger's attempts, the links' and the carriers' lines. */
export function phoneLines(phone: string, evidence: Evidence): string[] {
  const call = evidence.calls.find((one) => one.phone === phone);
  const own = joinAttempts(evidence).filter((one) => one.phone === phone);
  return [
    `  ledger: call ${call?.id} is ${call?.state}, ${call?.outcome}, heard ${call?.heard}`,
    ...own.flatMap(({ attempt, dialog }) => [
      `  attempt ${attempt.number} ${attempt.id} by ${attempt.trunk} on ${attempt.node}: claimed ` +
        `${at(attempt.claimedAt)}, placed ${at(attempt.placedAt)}, answered ${at(attempt.answeredAt)}, ended ` +
        `${at(attempt.endedAt)} as ${attempt.outcome}${attempt.interrupted ? ' (interrupted)' : ''}, heard ` +
        `${attempt.heardMs} of ${attempt.messageMs} ms; its INVITE: ${dialog?.callId ?? 'none'}`,
      ...evidence.playbacks
        .filter(({ attemptId }) => attemptId === attempt.id)
        .map(
          ({ startedAt, finishedAt, done }) =>
            `    played ${at(startedAt)} to ${at(finishedAt)}${done === undefined ? '' : done ? ', done' : ', broken off'}`,
        ),
    ]),
    ...evidence.dialogs
      .filter(({ number }) => number === phone)
      .map((dialog) => `  link: ${dialogLine(dialog)}`),
    ...evidence.carrierCalls
      .filter(({ number }) => number === phone)
      .map(
        ({ inviteAt, answeredAt, endedAt, endedBy, finalCode, behaviour, callId }) =>
          `  carrier: ${behaviour}, INVITE ${at(inviteAt)}, answered ${at(answeredAt)}, ended ${at(endedAt)} by ` +
          `${endedBy ?? '-'} with ${finalCode ?? '-'}; ${callId}`,
      ),
  ];
}

/** What was wrong, with everything that is known of each phone; at most ten cases of each rule. */
export function failureLines({ violations, evidence }: ChaosResult): string[] {
  return [...Map.groupBy(violations, ({ rule }) => rule)].flatMap(([rule, list]) => [
    '',
    `BROKEN: ${rule} (${list.length} times)`,
    ...list
      .slice(0, 10)
      .flatMap(({ what, phone }) => [
        `- ${phone === undefined ? '' : `${phone}: `}${what}`,
        ...(phone === undefined ? [] : phoneLines(phone, evidence)),
      ]),
  ]);
}

const footprints = ({ processes, connections, channels }: QuietMoment): string[] => [
  ...processes.map(
    ({ name, rssMib, fds, sockets }) => `${name}: ${rssMib} MiB, ${fds} files, ${sockets} sockets`,
  ),
  `PostgreSQL connections: ${connections}; channels: ${channels.map(({ count }) => count).join(' + ')}`,
];

/** The run in a dozen lines. */
export function summaryLines(result: ChaosResult): string[] {
  const { evidence, done, before, after, broadcasts, seconds } = result;
  const cases = joinAttempts(evidence);
  const byAttempt = Map.groupBy(evidence.playbacks, ({ attemptId }) => attemptId);
  const complete = cases.filter(
    ({ attempt, dialog }) =>
      dialog !== undefined &&
      completeIn(dialog, byAttempt.get(attempt.id) ?? [], attempt.messageMs, evidence.pauseMs) > 0,
  );
  const reached = new Set(complete.map(({ phone }) => phone));
  const shortened = evidence.calls.filter(
    ({ phone, outcome }) => ['unsure', 'heard'].includes(outcome ?? '') && !reached.has(phone),
  );
  const peaks = evidence.trunks.map(({ name, callsPerSecond, maxChannels }) => {
    const { rate, channels } = peaksOf(evidence.dialogs.filter(({ trunk }) => trunk === name));
    return `${name}: ${rate} INVITEs in the worst second (${callsPerSecond} allowed), ${channels} channels at once (${maxChannels})`;
  });
  return [
    `faults            ${done.length}: ${counted(done.map(({ fault }) => fault.kind))}`,
    `broadcasts        ${broadcasts}, ${evidence.planned.size} phones with the small ones, ${evidence.attempts.length} attempts`,
    `INVITEs           ${evidence.dialogs.length}, by node ${counted(evidence.dialogs.map(({ node }) => `port ${node}:`))}`,
    `complete messages ${complete.length}, to ${reached.size} phones`,
    `cut short         ${shortened.length} calls are shown as unsure or heard without a complete message`,
    `outcomes          ${counted(evidence.calls.map(({ outcome }) => outcome ?? 'none'))}`,
    `attempts          ${counted(evidence.attempts.map(({ outcome }) => outcome ?? 'open'))}`,
    ...peaks.map((line) => `peaks             ${line}`),
    ...footprints(before).map((line) => `before            ${line}`),
    ...footprints(after).map((line) => `after             ${line}`),
    `time              ${seconds} s`,
  ];
}
