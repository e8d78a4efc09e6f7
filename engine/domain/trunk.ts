/**
 * How a carrier wants the called number: +13035550142, 13035550142, as it is dialled inside the country
 * (3035550142), or 13035550142 after a prefix of the carrier's own.
 */
export const NUMBER_FORMATS = ['e164', 'plain', 'national', 'prefix'] as const;
export type NumberFormat = (typeof NUMBER_FORMATS)[number];

export const TRANSPORTS = ['udp', 'tcp', 'tls'] as const;
/** `ip`: the carrier knows our address. The others have an account; `registration` also registers with it. */
export const AUTHS = ['ip', 'digest', 'registration'] as const;
export const CODECS = ['ulaw', 'alaw', 'g722'] as const;
/** `refused`: the carrier refused our calls. `draining`: no new calls; `paused` when the last has ended. */
export const TRUNK_STATES = ['active', 'paused', 'draining', 'refused'] as const;
export type TrunkState = (typeof TRUNK_STATES)[number];

/** What an administrator says of a trunk; the secret is apart from it. */
export interface TrunkSetup {
  host: string;
  /** null: by SRV, and if there is none the protocol's own. */
  port: number | null;
  transport: (typeof TRANSPORTS)[number];
  auth: (typeof AUTHS)[number];
  username: string | null;
  fromDomain: string | null;
  /** In the order of preference. */
  codecs: (typeof CODECS)[number][];
  maxChannels: number;
  /** May be a fraction: 0.5 is one call in two seconds. */
  callsPerSecond: number;
  numberFormat: NumberFormat;
  numberPrefix: string | null;
  /** E.164 prefixes that may be dialled, such as +1303; null: the district's own country. */
  allowedPrefixes: string[] | null;
  callerId: string | null;
  /** Lower first. */
  priority: number;
  /** Share of the calls among trunks of the same priority. */
  weight: number;
  /** Seconds between OPTIONS to the carrier; 0: none. */
  qualifySeconds: number;
}

/** What does not go together in a trunk whose fields are right one by one; empty when all does. */
export function trunkProblems(
  { auth, username, numberFormat, numberPrefix }: TrunkSetup,
  hasSecret: boolean,
): { field: string; reason: string }[] {
  const problems: { field: string; reason: string }[] = [];
  const account = auth !== 'ip';
  if (account !== (username !== null))
    problems.push({
      field: 'username',
      reason: account ? `is needed with auth ${auth}` : 'is not used with auth ip',
    });
  if (account !== hasSecret)
    problems.push({
      field: 'secret',
      reason: account ? `is needed with auth ${auth}` : 'is not used with auth ip',
    });
  if ((numberFormat === 'prefix') !== (numberPrefix !== null))
    problems.push({
      field: 'numberPrefix',
      reason:
        numberPrefix === null
          ? 'is needed with numberFormat prefix'
          : 'is only used with numberFormat prefix',
    });
  return problems;
}
