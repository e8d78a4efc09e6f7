import { randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { readConfig } from '../engine/config.ts';
import { RollcallError } from '../engine/errors.ts';
import { engineVariables } from './engine-variables.ts';

const portRule = 'must be a port, 1 to 65535';
const port = z.coerce.number(portRule).int(portRule).min(1, portRule).max(65_535, portRule);
const ipv4 = z.string().refine(isIPv4, 'must be an IPv4 address');
const network = z.string().refine((value) => {
  const [address = '', bits = ''] = value.split('/');
  return isIPv4(address) && /^(3[0-2]|[12]?[0-9])$/.test(bits);
}, 'must be an IPv4 network, such as 10.0.0.0/8');
/** dialplan/render.sh takes no others, so that no value can start a comment or a section. */
const plain = /^[A-Za-z0-9._~:/@+-]+$/;

const file = z.string().refine((value) => isAbsolute(value) && plain.test(value), {
  error: 'must be an absolute path of letters, digits and . _ ~ : / @ + -',
});

/** What the local parts need beyond the engine's own variables. Defaults are in serve.ts, where all are named. */
const localSettings = z
  .object({
    POSTGRES_PORT: port,
    ARI_PORT: port,
    ARI_USER: z.string(),
    ARI_PASSWORD: z.string().optional(),
    SIP_BIND: ipv4,
    SIP_PORT: port,
    SIP_TLS_PORT: port,
    TLS_CA_FILE: file,
    TLS_CERT_FILE: file.optional(),
    TLS_KEY_FILE: file.optional(),
    AMI_PORT: port,
    AMI_USER: z.string(),
    AMI_PASSWORD: z.string().optional(),
    SECRET_KEY: z.string(),
    SIP_CAPTURE_LISTEN: z.string().refine((value) => {
      const [address = '', number = ''] = value.split(':');
      return isIPv4(address) && port.safeParse(number).success;
    }, 'must be an IPv4 address and a port, such as 127.0.0.1:9060'),
    RTP_START: port,
    RTP_END: port,
    EXTERNAL_ADDRESS: ipv4.optional(),
    LOCAL_NETWORK: network.optional(),
    DATABASE_URL: z.string().optional(),
    ARI_URL: z.string().optional(),
    SOUNDS_DIR: z.string(),
  })
  .superRefine((value, context) => {
    const complain = (name: string, message: string) =>
      context.addIssue({ code: 'custom', path: [name], message });
    for (const name of ['ARI_USER', 'ARI_PASSWORD', 'AMI_USER', 'AMI_PASSWORD'] as const)
      if (value.ARI_URL === undefined && value[name] !== undefined && !plain.test(value[name]))
        complain(name, 'may hold letters, digits and . _ ~ : / @ + - only');
    if (value.RTP_START >= value.RTP_END) complain('RTP_END', 'must be above RTP_START');
    const together = [
      ['EXTERNAL_ADDRESS', 'LOCAL_NETWORK'],
      ['TLS_CERT_FILE', 'TLS_KEY_FILE'],
    ] as const;
    for (const pair of together) {
      const missing = pair.filter((name) => value[name] === undefined);
      if (missing.length === 1) complain(missing[0] ?? '', `is not set: ${pair.join(' and ')} go together`);
    }
  });

/** Checked settings of `make serve`. */
export interface ServeSettings {
  /** Port of our own PostgreSQL; undefined where DATABASE_URL names another. */
  postgresPort: number | undefined;
  /** Options of our own Asterisk; undefined where ARI_URL names another. */
  asterisk:
    | {
        ariPort: number;
        ariUser: string;
        ariPassword: string;
        sipHost: string;
        sipPort: number;
        sipTlsPort: number;
        tls: { caFile: string; certFile?: string; keyFile?: string };
        ami: { port: number; user: string; password: string };
        rtpStart: number;
        rtpEnd: number;
        externalAddress: string;
        localNetwork: string;
        sipCaptureAddress: string;
      }
    | undefined;
  soundsDir: string;
  /** The engine's variables; `databaseUrl` is that of our own PostgreSQL and is ignored where there is none. */
  engineVariables(databaseUrl: string): Record<string, string>;
}

/**
 * Checks the settings of the local parts and those of the engine, before anything starts. `local` are the
 * former with their defaults, `environment` is where the engine's are taken from; empty means "not set".
 *
 * Throws CONFIG_INVALID with a line for every wrong variable of both.
 */
export function readServeSettings(
  local: Record<string, string>,
  environment: Record<string, string | undefined>,
): ServeSettings {
  const given = Object.fromEntries(Object.entries(local).filter(([, value]) => value !== ''));
  const ariPassword = given.ARI_PASSWORD ?? randomBytes(18).toString('base64url');
  const amiPassword = given.AMI_PASSWORD ?? randomBytes(18).toString('base64url');
  const engineOf = (databaseUrl: string) =>
    engineVariables(
      {
        databaseUrl,
        soundsDir: given.SOUNDS_DIR ?? '',
        secretKey: given.SECRET_KEY ?? '',
        // An Asterisk elsewhere has its own user, password and capture address: those of the environment.
        ...(given.ARI_URL === undefined && {
          ariUrl: `http://127.0.0.1:${given.ARI_PORT}`,
          ariUser: given.ARI_USER ?? '',
          ariPassword,
          amiAddress: `127.0.0.1:${given.AMI_PORT}`,
          amiUser: given.AMI_USER ?? '',
          amiPassword,
          sipCaptureAddress: given.SIP_CAPTURE_LISTEN ?? '',
        }),
      },
      environment,
    );

  const parsed = localSettings.safeParse(given);
  const problems = new Map<string, string>();
  for (const { path, message } of parsed.error?.issues ?? []) {
    const name = String(path[0]);
    if (!problems.has(name)) problems.set(name, `  ${name}: ${message}`);
  }
  // These become part of the engine's own: told once.
  if (problems.has('ARI_PORT')) problems.set('ARI_URL', '');
  if (problems.has('AMI_PORT')) problems.set('AMI_ADDRESS', '');
  for (const line of engineProblems(engineOf('postgres://127.0.0.1/not-started-yet'))) {
    const name = line.trim().split(':')[0] ?? line;
    if (!problems.has(name)) problems.set(name, line);
  }
  if (!parsed.success || problems.size > 0) {
    const lines = [...problems.values()].filter((line) => line !== '');
    throw new RollcallError(
      'CONFIG_INVALID',
      `these settings are not usable; .env.example explains each\n${lines.join('\n')}`,
    );
  }
  const value = parsed.data;
  return {
    postgresPort: value.DATABASE_URL === undefined ? value.POSTGRES_PORT : undefined,
    asterisk:
      value.ARI_URL === undefined
        ? {
            ariPort: value.ARI_PORT,
            ariUser: value.ARI_USER,
            ariPassword,
            sipHost: value.SIP_BIND,
            sipPort: value.SIP_PORT,
            sipTlsPort: value.SIP_TLS_PORT,
            tls: {
              caFile: value.TLS_CA_FILE,
              ...(value.TLS_CERT_FILE && { certFile: value.TLS_CERT_FILE }),
              ...(value.TLS_KEY_FILE && { keyFile: value.TLS_KEY_FILE }),
            },
            ami: { port: value.AMI_PORT, user: value.AMI_USER, password: amiPassword },
            rtpStart: value.RTP_START,
            rtpEnd: value.RTP_END,
            externalAddress: value.EXTERNAL_ADDRESS ?? '',
            localNetwork: value.LOCAL_NETWORK ?? '',
            sipCaptureAddress: value.SIP_CAPTURE_LISTEN,
          }
        : undefined,
    soundsDir: value.SOUNDS_DIR,
    engineVariables: engineOf,
  };
}

/** The engine's own complaints, one line for each variable, without their heading. */
function engineProblems(variables: Record<string, string>): string[] {
  try {
    readConfig(variables);
    return [];
  } catch (error) {
    if (!(error instanceof RollcallError)) throw error;
    return error.message.split('\n').slice(1);
  }
}
