/** The part of the package that we use; it brings no types. Read from its source, version 0.2.0. */
declare module 'asterisk-manager' {
  /** Keys in lower case; one that comes several times is an array. */
  export type ManagerEvent = Readonly<Record<string, string | string[] | undefined>>;

  export interface Manager {
    on(name: 'managerevent', listener: (event: ManagerEvent) => void): void;
    on(name: 'close', listener: () => void): void;
    on(name: 'error', listener: (error: Error) => void): void;
    connect(port: number, host: string, callback: () => void): void;
    /** Logs in with the account given at creation; `refused` is Asterisk's answer if it does not let us in. */
    login(callback: (refused?: ManagerEvent) => void): void;
    /** Values are sent as they are: constants only. The callback never comes when the connection breaks. */
    action(
      action: { action: string; actionid: string; command?: string },
      callback: (refused: ManagerEvent | undefined, answer: ManagerEvent) => void,
    ): void;
  }

  /** Without a port it does not connect by itself. */
  export default function createManager(
    port: undefined,
    host: string,
    user: string,
    password: string,
    events: boolean,
  ): Manager;
}
