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

/** Values separated by commas. */
const listOf = (item: z.ZodType<string, string>) =>
  z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()))
    .pipe(z.array(item).min(1));

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
  /** One or several Asterisk nodes, separated by commas. */
  ARI_URL: listOf(url('http:', 'https:')),
  ARI_USER: z.string().min(1),
  ARI_PASSWORD: z.string().min(12, 'must be at least 12 characters'),
  ARI_APP: z
    .string()
    .regex(/^[a-z0-9_-]{1,40}$/)
    .default('rollcall'),
  /** The nodes' names in logs and in the ledger, as many as ARI_URL has; asterisk-1, asterisk-2 … without it. */
  NODE_NAME: listOf(
    z.string().regex(/^[A-Za-z0-9_-]{1,40}$/, 'must have letters, digits, _ and - only'),
  ).optional(),
  /** Asterisk's manager interface of each node, as many as ARI_URL has; trunks are not watched without it. */
  AMI_ADDRESS: listOf(
    z.string().regex(/^[A-Za-z0-9.-]+:[0-9]{1,5}$/, 'must be a host and a port, such as 127.0.0.1:5038'),
  ).optional(),
  AMI_USER: z.string().min(1).default('rollcall'),
  AMI_PASSWORD: z.string().min(12, 'must be at least 12 characters').optional(),
  /** Opens the trunks' passwords in the database. */
  SECRET_KEY: z
    .string()
    .refine(
      (value) => Buffer.from(value, 'base64').length === 32,
      'must be 32 bytes in base64: openssl rand -base64 32',
    )
    .optional(),
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

/** One name and one manager address for each node, and a password for these. */
const listsMatch = z.superRefine<z.infer<typeof environment>>(
  ({ ARI_URL, NODE_NAME, AMI_ADDRESS, AMI_PASSWORD }, { addIssue }) => {
    const complain = (name: string, message: string) => addIssue({ code: 'custom', path: [name], message });
    for (const [name, list] of Object.entries({ NODE_NAME, AMI_ADDRESS }))
      if (list !== undefined && list.length !== ARI_URL.length)
        complain(name, `must have as many values as ARI_URL, which has ${ARI_URL.length}`);
    if (NODE_NAME !== undefined && new Set(NODE_NAME).size !== NODE_NAME.length)
      complain('NODE_NAME', 'must have a name of its own for each node');
    if (AMI_ADDRESS !== undefined && AMI_PASSWORD === undefined)
      complain('AMI_PASSWORD', 'is not set, and AMI_ADDRESS is');
  },
);

/** Names of all variables that the engine reads; .env.example explains each. */
export const CONFIG_VARIABLES: readonly string[] = Object.keys(environment.shape);

/** Checked settings; every field is present. */
export interface Config {
  databaseUrl: string;
  roles: ReadonlySet<EngineRole>;
  http: { host: string; port: number; importLimitBytes: number };
  ari: { user: string; password: string; app: string };
  /** At least one. */
  nodes: { name: string; ariUrl: string; ami: { host: string; port: number } | undefined }[];
  ami: { user: string; password: string };
  secretKey: Buffer | undefined;
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
  const parsed = environment.check(listsMatch).safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      const missing = given[name] === undefined && issue.code !== 'custom';
      return `  ${name}: ${missing ? 'is not set' : issue.message}`;
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
    ari: { user: value.ARI_USER, password: value.ARI_PASSWORD, app: value.ARI_APP },
    nodes: value.ARI_URL.map((ariUrl, index) => ({
      name: value.NODE_NAME?.[index] ?? `asterisk-${index + 1}`,
      ariUrl,
      ami: parseAddress(value.AMI_ADDRESS?.[index]),
    })),
    ami: { user: value.AMI_USER, password: value.AMI_PASSWORD ?? '' },
    secretKey: value.SECRET_KEY === undefined ? undefined : Buffer.from(value.SECRET_KEY, 'base64'),
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
