import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import createManager, { type ManagerEvent } from 'asterisk-manager';
import { RollcallError } from '../errors.ts';

export type { ManagerEvent } from 'asterisk-manager';

export interface AmiOptions {
  host: string;
  port: number;
  user: string;
  password: string;
}

/**
 * All that is ever sent. The actions of the same purpose do less in Asterisk 22.10: PJSIPShowContacts leaves out
 * the contacts of an AOR's own, which are all of ours, PJSIPShowRegistrationsOutbound sends every password in
 * clear, and for the queues there is none.
 */
export type ConsoleCommand = 'pjsip show contacts' | 'pjsip show registrations' | 'core show taskprocessors';

export interface AmiConnection {
  /** Runs a command of Asterisk's console; resolves with its lines. */
  command(command: ConsoleCommand): Promise<string[]>;
  /** Rejects when the connection is lost. */
  readonly lost: Promise<never>;
  close(): void;
}

/** Asterisk answers within milliseconds; a node that needs longer is not healthy, and is said to be unknown. */
const ANSWER_LIMIT_MS = 5_000;

/**
 * One connection to Asterisk's manager interface, logged in; `onEvent` gets its events.
 *
 * The package `asterisk-manager` speaks the protocol. Left aside is what it does on its own: its reconnection
 * (10 s and more, and a line on the console each time) and its queue of actions that waits for a login for
 * ever. An action's callback never comes when the connection breaks: hence a limit for each answer here. Its
 * socket cannot be had from it, and without it neither a connection that is never made nor a peer that is gone
 * can be given up: Node itself tells us of the socket.
 *
 * Throws AMI_UNAVAILABLE.
 */
export async function openAmi(
  { host, port, user, password }: AmiOptions,
  onEvent: (event: ManagerEvent) => void,
): Promise<AmiConnection> {
  const manager = createManager(undefined, host, user, password, true);
  const lost = Promise.withResolvers<never>();
  // Whoever waits hears of it; nobody has to.
  lost.promise.catch(() => {});
  const lose = (why: string, cause?: unknown) =>
    lost.reject(new RollcallError('AMI_UNAVAILABLE', `Asterisk's manager interface ${why}`, { cause }));
  manager.on('error', (error) => lose('cannot be reached', error));
  manager.on('close', () => lose('closed the connection'));

  manager.on('managerevent', onEvent);

  const answered = <T>(work: (resolve: (value: T) => void, reject: (why: string) => void) => void) =>
    new Promise<T>((resolve, reject) => {
      const refuse = (why: string) => reject(new RollcallError('AMI_UNAVAILABLE', why));
      const limit = setTimeout(() => refuse('Asterisk did not answer'), ANSWER_LIMIT_MS);
      const settle = <V>(done: (value: V) => void) => {
        return (value: V) => {
          clearTimeout(limit);
          done(value);
        };
      };
      lost.promise.catch(settle(reject));
      work(settle(resolve), settle(refuse));
    });

  const socket = socketOf(() =>
    manager.connect(port, host, () => {
      // Later, when somebody waits for it.
    }),
  );
  const close = () => {
    lose('was closed by us');
    socket.destroy();
  };
  try {
    await answered<void>((resolve) => socket.once('connect', () => resolve()));
    await answered<void>((resolve, reject) =>
      manager.login((refused) => (refused ? reject('Asterisk does not let this AMI user in') : resolve())),
    );
  } catch (error) {
    close();
    throw error;
  }

  let actions = 0;
  return {
    command: (command) => {
      actions += 1;
      const actionid = `command-${actions}`;
      return answered<string[]>((resolve, reject) =>
        manager.action({ action: 'Command', actionid, command }, (refused, { output = [] }) =>
          refused ? reject(`Asterisk refused "${command}": ${refused.message}`) : resolve([output].flat()),
        ),
      );
    },
    lost: lost.promise,
    close,
  };
}

/** The socket that `connect` opens. */
function socketOf(connect: () => void): Socket {
  let found: Socket | undefined;
  const take = (message: unknown) => {
    found ??= (message as { socket: Socket }).socket;
  };
  subscribe('net.client.socket', take);
  try {
    connect();
  } finally {
    unsubscribe('net.client.socket', take);
  }
  if (found === undefined) throw new RollcallError('INTERNAL', 'asterisk-manager opened no socket');
  return found;
}
