import type { Log } from '../log.ts';
import type { AriClient, ConnectionHandlers } from './client.ts';
import type { AriNode } from './node.ts';
import { applyTrunk, removeTrunk, type TrunkSettings } from './trunk-config.ts';

/** What watches a node from outside of the call path. */
export interface NodeWatch {
  /** True while the watch has a connection of its own to the node; undefined where there is no watch. */
  readonly connected: boolean | undefined;
  /** False: the node's OPTIONS to this trunk are not answered. Undefined: not known. */
  reachable(trunk: string): boolean | undefined;
  registration(trunk: string): string | undefined;
  /** The longest queue of Asterisk's task processors; undefined: not known. */
  readonly backlog: number | undefined;
}

export interface TelephonyNodeOptions {
  name: string;
  ari: AriNode;
  watch: NodeWatch;
  log: Log;
  /** The trunk as it is now, with its secret in clear; undefined for one that was deleted. */
  settingsOf: (trunkId: string) => Promise<TrunkSettings | undefined>;
}

/** One Asterisk with its name, its watch, and the trunks that it was given. */
export function createTelephonyNode({ name, ari, watch, log, settingsOf }: TelephonyNodeOptions) {
  const clients = new Set<AriClient>();
  /** Names of the trunks that this node was given. */
  const given = new Set<string>();
  /** One at a time: two changes of a trunk must arrive in their order. */
  let applying: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = applying.then(work);
    applying = result.catch(() => undefined);
    return result;
  };
  return {
    name,
    watch,
    get connected() {
      return [...clients].some((client) => client.connected);
    },
    connect(app: string, handlers: ConnectionHandlers): AriClient {
      const client = ari.connect(app, handlers);
      clients.add(client);
      const close = async () => {
        clients.delete(client);
        await client.close();
      };
      return Object.defineProperties({ ...client, close } as AriClient, {
        connected: { get: () => client.connected },
      });
    },
    /** Brings a trunk's SIP settings to the node. Throws what {@link applyTrunk} throws. */
    provision: (trunkId: string): Promise<void> =>
      inTurn(async () => {
        const settings = await settingsOf(trunkId);
        if (settings === undefined) return;
        const { addressKnown } = await applyTrunk(ari.http, settings);
        given.add(settings.name);
        if (!addressKnown)
          log.warn({ node: name, trunk: settings.name }, 'the address of the trunk’s host cannot be found');
      }),
    /** Takes away trunks with other names than these. Throws what {@link removeTrunk} throws. */
    retain: (names: readonly string[]): Promise<void> =>
      inTurn(async () => {
        for (const trunk of [...given].filter((one) => !names.includes(one))) {
          await removeTrunk(ari.http, trunk);
          given.delete(trunk);
        }
      }),
    close: () => ari.close(),
  };
}
