import type { Clock } from '../clock.ts';
import { toRollcallError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type AmiConnection, type AmiOptions, type ManagerEvent, openAmi } from './connection.ts';
import {
  backlogOf,
  type ContactHealth,
  contactOf,
  contactsOf,
  type RegistrationState,
  registrationsOf,
} from './facts.ts';

export type { AmiOptions } from './connection.ts';
export type { ContactHealth, RegistrationState } from './facts.ts';

/** What one Asterisk knows of the trunks and of itself; by the trunk's name. */
export interface NodeHealth {
  /** False: what follows is not known, and is empty. */
  connected: boolean;
  contacts: ReadonlyMap<string, ContactHealth>;
  registrations: ReadonlyMap<string, RegistrationState>;
  /** Tasks in the longest of the queues that calls wait in; null: not known. */
  taskProcessorBacklog: number | null;
  /** How often a module was reloaded since the watcher began: by whoever has access to the machine. */
  reloads: number;
}

export interface Watcher {
  readonly health: NodeHealth;
  close(): Promise<void>;
}

/** Events come at once, but not for all that changes; and the queues have none. */
const POLL_MS = 2_000;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 10_000;

const unknown = (reloads: number): NodeHealth => ({
  connected: false,
  contacts: new Map(),
  registrations: new Map(),
  taskProcessorBacklog: null,
  reloads,
});

/**
 * Watches the trunks of one Asterisk over AMI until `close`, apart from the path of calls: it may be missing,
 * and then nothing is known. Connects again by itself, 0.25 to 10 s after a loss. `onChange` gets each new
 * state, at the latest every 2 s while connected, and must not throw.
 */
export function startWatcher(
  options: AmiOptions,
  { clock, log }: { clock: Clock; log: Log },
  { onChange }: { onChange: (health: NodeHealth) => void },
): Watcher {
  const closing = new AbortController();
  let health = unknown(0);
  const change = (changes: Partial<NodeHealth>) => {
    health = { ...health, ...changes };
    onChange(health);
  };

  /** Resolves the wait between two polls. */
  let hurry: () => void = () => {};
  const onEvent = (event: ManagerEvent) => {
    const name = String(event.event).toLowerCase();
    if (name === 'reload') change({ reloads: health.reloads + 1 });
    // It names the account, not the trunk: ask.
    if (name === 'registry') hurry();
    const contact = name === 'contactstatus' ? contactOf(event) : undefined;
    if (contact !== undefined) change({ contacts: new Map([...health.contacts, contact]) });
  };

  const watch = async (ami: AmiConnection): Promise<never> => {
    for (;;) {
      const waited = Promise.withResolvers<void>();
      hurry = waited.resolve;
      const timer = setTimeout(waited.resolve, POLL_MS);
      try {
        change({ connected: true, ...(await poll(ami)) });
        await Promise.race([waited.promise, ami.lost]);
      } finally {
        clearTimeout(timer);
      }
    }
  };

  const run = async (): Promise<void> => {
    let retryMs = FIRST_RETRY_MS;
    while (!closing.signal.aborted) {
      let ami: AmiConnection | undefined;
      const onAbort = () => ami?.close();
      closing.signal.addEventListener('abort', onAbort, { once: true });
      try {
        ami = await openAmi(options, onEvent);
        closing.signal.throwIfAborted();
        retryMs = FIRST_RETRY_MS;
        await watch(ami);
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ err: toRollcallError(error) }, 'trunk health is not known');
      } finally {
        ami?.close();
        closing.signal.removeEventListener('abort', onAbort);
      }
      if (health.connected) change(unknown(health.reloads));
      // The sleep's only rejection is our own close.
      await clock.sleep(retryMs, closing.signal).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
  };
  const running = run();
  return {
    get health() {
      return health;
    },
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

async function poll(
  ami: AmiConnection,
): Promise<Pick<NodeHealth, 'contacts' | 'registrations' | 'taskProcessorBacklog'>> {
  // One after the other: Asterisk serves each connection by one thread.
  const contacts = contactsOf(await ami.command('pjsip show contacts'));
  const registrations = registrationsOf(await ami.command('pjsip show registrations'));
  const taskProcessorBacklog = backlogOf(await ami.command('core show taskprocessors'));
  return { contacts, registrations, taskProcessorBacklog };
}
