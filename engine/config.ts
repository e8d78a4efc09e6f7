import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { RollcallError } from './errors.ts';

const ENGINE_ROLES = ['api', 'jobs', 'dialer'] as const;
export type EngineRole = (typeof ENGINE_ROLES)[number];

const seconds = (fallback: number) => z.coerce.number().int().positive().default(fallback);
const absolutePath = z.string().refine(isAbsolute, 'must be an absolute path');
const url = (...protocols: string[]) =>
  z.string().refine((value) => URL.canParse(value) && protocols.includes(new URL(value).protocol), {
    error: `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  });

const environment = z.object({
  DATABASE_URL: url('postgres:', 'postgresql:'),
  ROLES: z
    .string()
    .default(ENGINE_ROLES.join(','))
    .transform((value) => value.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(ENGINE_ROLES)).min(1)),
  HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** Largest body of an import, in MiB; other bodies are limited to 1 MiB. */
  IMPORT_LIMIT_MIB: z.coerce.number().int().positive().default(256),
  ARI_URL: url('http:', 'https:'),
  ARI_USER: z.string().min(1),
  ARI_PASSWORD: z.string().min(12, 'must be at least 12 characters'),
  ARI_APP: z
    .string()
    .regex(/^[a-z0-9_-]{1,40}$/)
    .default('rollcall'),
  /** The Asterisk node's name in logs and in the ledger. */
  NODE_NAME: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,40}$/)
    .default('asterisk-1'),
  /** Where Asterisk sends copies of SIP messages; without it a blocked call (603+) is shown as declined. */
  SIP_CAPTURE_LISTEN: z
    .string()
    .regex(/^[0-9.]+:[0-9]{1,5}$/, 'must be an IPv4 address and a port, such as 127.0.0.1:9060')
    .optional(),
  SOUNDS_DIR: absolutePath,
  /** The same folder as Asterisk sees it, where it sees another path. */
  ASTERISK_SOUNDS_DIR: absolutePath.optional(),
  PROMPTS_DIR: absolutePath.optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  SHUTDOWN_GRACE_SECONDS: seconds(60),
});

/** Names of all variables that the engine reads; .env.example explains each. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(environment.shape);

/** Checked settings; every field is present. */
export interface Config {
  databaseUrl: string;
  roles: ReadonlySet<EngineRole>;
  http: { host: string; port: number; importLimitBytes: number };
  ari: { url: string; user: string; password: string; app: string };
  nodeName: string;
  sipCapture: { host: string; port: number } | undefined;
  sounds: { directory: string; asteriskDirectory: string };
  promptsDirectory: string;
  migrationsDirectory: string;
  logLevel: string;
  shutdownGraceMs: number;
}

function parseAddress(text: string | undefined): Config['sipCapture'] {
  const [host, port] = text?.split(':') ?? [];
  return host === undefined ? undefined : { host, port: Number(port) };
}

const beside = (folder: string): string => new URL(`../${folder}`, import.meta.url).pathname;

/**
 * Reads the settings from `env`; the only reader of the process's environment is the caller in main.ts.
 * Throws CONFIG_INVALID that lists every wrong or missing variable at once.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  // An empty variable in an .env file means "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return `  ${name}: ${given[name] === undefined ? 'is not set' : issue.message}`;
    });
    throw new RollcallError(
      'CONFIG_INVALID',
      `the environment is not usable; .env.example explains each variable\n${lines.join('\n')}`,
    );
  }
  const value = parsed.data;
  return {
    databaseUrl: value.DATABASE_URL,
    roles: new Set(value.ROLES),
    http: {
      host: value.HTTP_HOST,
      port: value.HTTP_PORT,
      importLimitBytes: value.IMPORT_LIMIT_MIB * 1024 * 1024,
    },
    ari: { url: value.ARI_URL, user: value.ARI_USER, password: value.ARI_PASSWORD, app: value.ARI_APP },
    nodeName: value.NODE_NAME,
    sipCapture: parseAddress(value.SIP_CAPTURE_LISTEN),
    sounds: {
      directory: value.SOUNDS_DIR,
      asteriskDirectory: value.ASTERISK_SOUNDS_DIR ?? value.SOUNDS_DIR,
    },
    promptsDirectory: value.PROMPTS_DIR ?? beside('prompts'),
    migrationsDirectory: beside('migrations'),
    logLevel: value.LOG_LEVEL,
    shutdownGraceMs: value.SHUTDOWN_GRACE_SECONDS * 1000,
  };
}
