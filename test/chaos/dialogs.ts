import type { LinkFact } from './link.ts';

/** One INVITE's story, as the link saw it. Times are epoch ms. */
export interface Dialog {
  trunk: string;
  /** Asterisk's SIP port: its node. */
  node: number;
  callId: string;
  number: string;
  /** First INVITE, when it came from Asterisk. */
  inviteAt: number;
  /** The carrier's 200 came to the link: somebody picked up. */
  pickedUpAt?: number;
  /** The 200 went on to Asterisk: from now on it may play. */
  answeredAt?: number;
  /** Final failure, and when it came to the link or was made there. */
  code?: number;
  failedAt?: number;
  /** A provisional or final answer reached Asterisk. */
  heardOf: boolean;
  cancelledAt?: number;
  /** Asterisk's first BYE, when it came to the link, whether or not it got further. */
  asteriskByeAt?: number;
  /** The carrier's first BYE came to the link; and Asterisk's answer to one of them did. */
  carrierByeAt?: number;
  carrierByeTakenAt?: number;
  /** Its Asterisk was killed then. */
  crashedAt?: number;
}

/** When an Asterisk was killed, by its SIP port. */
export interface Crash {
  node: number;
  at: number;
}

/** RFC 3261's Timer B as dialplan/pjsip.conf sets it: an INVITE that nobody answers is given up in silence. */
const TIMER_B_MS = 16_000;

/** The dialogs of one trunk's link, in the order of their INVITEs. */
export function readDialogs(trunk: string, facts: readonly LinkFact[], crashes: readonly Crash[]): Dialog[] {
  const dialogs = new Map<string, Dialog>();
  // Facts are logged when they are over; what counts is when they began.
  for (const fact of [...facts].sort((a, b) => a.at - b.at)) {
    const { at, way, node, what, about, callId, number } = fact;
    const known = dialogs.get(callId);
    if (known === undefined) {
      if (way === 'out' && what === 'INVITE')
        dialogs.set(callId, { trunk, node, callId, number: number ?? '', inviteAt: at, heardOf: false });
      continue;
    }
    if (way === 'out' && what === 'CANCEL') known.cancelledAt ??= at;
    if (way === 'out' && what === 'BYE') known.asteriskByeAt ??= at;
    if (way === 'out' && what === '200' && about === 'BYE') known.carrierByeTakenAt ??= at;
    if (way === 'in') hear(known, fact);
    if (way === 'in' && about === 'INVITE' && fact.outAt !== undefined) known.heardOf = true;
  }
  for (const dialog of dialogs.values()) {
    const crash = crashes.find(({ node, at }) => node === dialog.node && at >= dialog.inviteAt);
    if (crash !== undefined && endOf(dialog) > crash.at) dialog.crashedAt = crash.at;
  }
  return [...dialogs.values()];
}

function hear(dialog: Dialog, { at, outAt, what, about }: LinkFact): void {
  const status = Number(what);
  if (what === 'BYE') dialog.carrierByeAt ??= at;
  else if (about === 'INVITE' && status >= 300) {
    dialog.code ??= status;
    dialog.failedAt ??= at;
  } else if (about === 'INVITE' && status >= 200) {
    dialog.pickedUpAt ??= at;
    if (outAt !== undefined) dialog.answeredAt ??= outAt;
  }
}

/** When the trunk's channel was free again: Infinity while the dialog lasts. */
export function endOf(dialog: Dialog): number {
  const { cancelledAt, asteriskByeAt, carrierByeAt, crashedAt, failedAt, heardOf, inviteAt } = dialog;
  const ends = [cancelledAt, asteriskByeAt, carrierByeAt, crashedAt, failedAt].filter(
    (at) => at !== undefined,
  );
  if (!heardOf) ends.push(inviteAt + TIMER_B_MS);
  return Math.min(Number.POSITIVE_INFINITY, ...ends);
}

/**
 * When audio stopped reaching the phone: it hung up, Asterisk did, or Asterisk died. The phone's own end counts
 * from the moment it hung up, also where Asterisk never learnt of it.
 */
export function hearingEnd({ asteriskByeAt, carrierByeAt, crashedAt }: Dialog): number {
  return Math.min(
    asteriskByeAt ?? Number.POSITIVE_INFINITY,
    carrierByeAt ?? Number.POSITIVE_INFINITY,
    crashedAt ?? Number.POSITIVE_INFINITY,
  );
}
