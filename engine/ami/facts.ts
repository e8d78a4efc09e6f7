import type { ManagerEvent } from './connection.ts';

/** What OPTIONS to a carrier found. `reachable` is null while that is not known, as without qualify. */
export interface ContactHealth {
  reachable: boolean | null;
  /** Of the last OPTIONS and its answer. */
  roundTripMs: number | null;
}

export type RegistrationState = 'registered' | 'unregistered' | 'rejected' | 'unknown';

const textOf = (value: string | string[] | undefined): string => [value].flat()[0] ?? '';

/** The trunks' contacts, by name, from the lines of `pjsip show contacts`. */
export function contactsOf(lines: readonly string[]): Map<string, ContactHealth> {
  const contacts = new Map<string, ContactHealth>();
  for (const line of lines) {
    // Contact:  north/sip:192.0.2.10:5060   ce89b94141 Avail   12.034
    const [, name, status = '', roundTrip] =
      /^\s*Contact:\s+([A-Za-z0-9_-]+)\/\S+\s+[0-9a-f]+\s+(\S+)\s+(\S+)/.exec(line) ?? [];
    if (name !== undefined) contacts.set(name, healthOf(status, Number(roundTrip)));
  }
  return contacts;
}

/** Of a ContactStatus event, with the trunk's name; undefined for a contact that goes. */
export function contactOf(event: ManagerEvent): [string, ContactHealth] | undefined {
  const status = textOf(event.contactstatus);
  const name = textOf(event.aor);
  if (name === '' || status === 'Removed') return undefined;
  return [name, healthOf(status, Number(textOf(event.roundtripusec) || Number.NaN) / 1_000)];
}

/** The console cuts its words at seven letters, the event does not. */
function healthOf(status: string, roundTripMs: number): ContactHealth {
  if (/^(Avail|Reachable)/.test(status)) {
    return { reachable: true, roundTripMs: Number.isFinite(roundTripMs) ? roundTripMs : null };
  }
  return { reachable: /^Un(avail|reach)/.test(status) ? false : null, roundTripMs: null };
}

/** The trunks' registrations, by name, from the lines of `pjsip show registrations`. */
export function registrationsOf(lines: readonly string[]): Map<string, RegistrationState> {
  const registrations = new Map<string, RegistrationState>();
  for (const line of lines) {
    // north/sip:sip.carrier.example   north   Registered   (exp. 290s)
    const [, name, status] = /^\s*([A-Za-z0-9_-]+)\/sip:\S+\s+\S+\s+([A-Z][a-z]+)/.exec(line) ?? [];
    if (name !== undefined) registrations.set(name, STATES[status ?? ''] ?? 'unknown');
  }
  return registrations;
}

const STATES: Record<string, RegistrationState> = {
  Registered: 'registered',
  Unregistered: 'unregistered',
  Rejected: 'rejected',
};

/**
 * The longest of the queues that calls wait in, now, from `core show taskprocessors`: name, processed, in queue,
 * and further columns. Null when there is no such table.
 */
export function backlogOf(lines: readonly string[]): number | null {
  let longest: number | null = null;
  for (const line of lines) {
    const [, queue] = /^(?:pjsip|stasis)\S*\s+\d+\s+(\d+)\s/.exec(line) ?? [];
    if (queue !== undefined) longest = Math.max(longest ?? 0, Number(queue));
  }
  return longest;
}
