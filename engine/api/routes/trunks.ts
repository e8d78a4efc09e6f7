import { z } from 'zod';
import {
  AUTHS,
  CODECS,
  NUMBER_FORMATS,
  TRANSPORTS,
  TRUNK_STATES,
  type TrunkSetup,
  trunkProblems,
} from '../../domain/trunk.ts';
import { RollcallError } from '../../errors.ts';
import {
  createTrunk,
  listTrunks,
  removeTrunk,
  setTrunkState,
  type Trunk,
  trunkHasClaims,
  updateTrunk,
} from '../../store/trunks.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { fieldErrors } from '../problem.ts';
import { e164, id, idParams } from '../schemas.ts';
import { settled } from '../settled.ts';

const tags = ['Trunks'];

const SETUP = {
  host: 'sip.carrier.example',
  port: null,
  transport: 'udp',
  auth: 'registration',
  username: '17205550100',
  fromDomain: null,
  codecs: ['ulaw', 'alaw'],
  maxChannels: 40,
  callsPerSecond: 2.5,
  numberFormat: 'e164',
  numberPrefix: null,
  allowedPrefixes: null,
  callerId: '+17205550100',
  priority: 1,
  weight: 1,
  qualifySeconds: 30,
};
const NEW_TRUNK = { name: 'carrier-a', ...SETUP, secret: 'what the carrier gave you' };
const TRUNK = {
  id: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  name: NEW_TRUNK.name,
  ...SETUP,
  hasSecret: true,
  state: 'active',
  stateReason: null,
  openCalls: 3,
  engine: 'telecom-1:4711',
  health: {
    breaker: 'closed',
    rate: 2.5,
    channels: 3,
    failureShare: 0.01,
    postDialDelayMs: 1400,
    nodes: { 'asterisk-1': { ready: true, reachable: true, registration: 'registered' } },
  },
  createdAt: '2026-09-14T18:00:03.120Z',
};

/** Labels of letters, digits and inner hyphens: nothing here can end the URI that it becomes part of. */
const HOST =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;
const hostName = z.string().regex(HOST, 'must be a host name or an IPv4 address');

const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must have 1 to 64 letters, digits, _ or -');
const secret = z
  .string()
  .regex(/^[\x20-\x7e]{1,128}$/, 'must have 1 to 128 printable ASCII characters')
  .describe('Password of the account. Kept encrypted, and never shown again: write-only');
const fields = {
  host: hostName.describe('Host name, SRV name or IPv4 address of the carrier'),
  port: z.number().int().min(1).max(65_535).nullable().describe('null: by SRV, else the usual one'),
  transport: z.enum(TRANSPORTS),
  auth: z
    .enum(AUTHS)
    .describe(
      '`ip`: the carrier knows your address; `digest`: user and secret; `registration`: registers as well',
    ),
  username: z
    .string()
    .regex(/^[A-Za-z0-9._~+-]{1,64}$/, 'must have 1 to 64 letters, digits and . _ ~ + -')
    .nullable(),
  fromDomain: hostName.nullable().describe('Domain of From, where the carrier wants its own'),
  codecs: z
    .array(z.enum(CODECS))
    .min(1)
    .refine((codecs) => new Set(codecs).size === codecs.length, 'must name each codec once')
    .describe('In the order of preference. Messages are ulaw, which is played without transcoding'),
  maxChannels: z.number().int().min(1).max(100_000).describe('Calls at any moment, as the carrier allows'),
  callsPerSecond: z
    .number()
    .min(0.001)
    .max(10_000)
    .describe('New calls per second; 0.5 is one in two seconds'),
  numberFormat: z
    .enum(NUMBER_FORMATS)
    .describe('How the carrier wants the called number; `prefix`: numberPrefix, then as `plain`'),
  numberPrefix: z
    .string()
    .regex(/^(?!911|112)[0-9]{1,8}$/, 'must have 1 to 8 digits, and not begin as an emergency number')
    .nullable(),
  allowedPrefixes: z
    .array(z.string().regex(/^\+[1-9][0-9]{0,14}$/, 'must be a prefix in E.164 form, such as +1303'))
    .min(1)
    .max(100)
    .nullable()
    .describe("What may be dialled; null: the district's country. Premium-rate numbers never"),
  callerId: e164
    .nullable()
    .describe('Shown where neither the call nor its site has one; from the list of /v1/caller-ids'),
  priority: z.number().int().min(1).max(100).describe('Lower first'),
  weight: z.number().int().min(1).max(1000).describe('Share of the calls among trunks of one priority'),
  qualifySeconds: z.number().int().min(0).max(3600).describe('Between two OPTIONS to the carrier; 0: none'),
};

const newTrunk = z
  .strictObject({
    ...fields,
    name,
    secret: secret.nullable().default(null),
    port: fields.port.default(null),
    transport: fields.transport.default('udp'),
    auth: fields.auth.default('ip'),
    username: fields.username.default(null),
    fromDomain: fields.fromDomain.default(null),
    codecs: fields.codecs.default(['ulaw', 'alaw']),
    numberFormat: fields.numberFormat.default('e164'),
    numberPrefix: fields.numberPrefix.default(null),
    allowedPrefixes: fields.allowedPrefixes.default(null),
    callerId: fields.callerId.default(null),
    priority: fields.priority.default(1),
    weight: fields.weight.default(1),
    qualifySeconds: fields.qualifySeconds.default(30),
  })
  .meta({ examples: [NEW_TRUNK] });
const patch = z
  .strictObject({ ...fields, secret: secret.nullable() })
  .partial()
  .refine((changes) => Object.keys(changes).length > 0, 'must change something')
  .meta({ examples: [{ callsPerSecond: 0.5, maxChannels: 20 }] });
const trunk = z
  .object({
    id,
    name,
    ...fields,
    // Trunks of before this rule may have another one.
    host: z.string(),
    hasSecret: z.boolean(),
    state: z.enum(TRUNK_STATES),
    stateReason: z.string().nullable(),
    openCalls: z.number().int().describe('Calls by it that have not ended'),
    engine: z.string().nullable().describe('Machine and process that places its calls; null: none does'),
    health: z
      .object({
        breaker: z.enum(['closed', 'open', 'half_open']),
        rate: z.number().describe('Calls per second that it is held to now'),
        channels: z.number().int(),
        failureShare: z.number().nullable().describe('Of the last 100 calls, 0 to 1'),
        postDialDelayMs: z.number().int().nullable().describe('Median from INVITE to ringing or answer'),
        nodes: z.record(
          z.string(),
          z.object({
            ready: z.boolean(),
            reachable: z.boolean().nullable().describe('OPTIONS are answered; null: not known'),
            registration: z.string().nullable(),
          }),
        ),
      })
      .nullable()
      .describe('As that engine saw it a second ago'),
    createdAt: z.date(),
  })
  .meta({ examples: [TRUNK] });

const acted = trunk
  .extend({ settled: z.boolean().describe('false: an INVITE that was claimed before may still leave') })
  .meta({ examples: [{ ...TRUNK, settled: true }] });

const ACTIONS = [
  ['pause', 'paused', 'Place no more calls by a trunk', 'Calls that ring or talk go on.'],
  [
    'drain',
    'draining',
    'Take a trunk out of service',
    'Calls that ring or talk go on; when the last has ended it is `paused` and can be removed.',
  ],
  ['resume', 'active', 'Place calls by a trunk again', 'Also ends `refused`, once the carrier is mended.'],
] as const;

export function trunkRoutes(
  app: Api,
  { db, clock, sealSecret }: Pick<ApiDeps, 'db' | 'clock' | 'sealSecret'>,
): void {
  app.get(
    '/v1/trunks',
    {
      schema: {
        tags,
        summary: 'Every trunk, by name',
        response: { 200: z.object({ items: z.array(trunk) }).meta({ examples: [{ items: [TRUNK] }] }) },
      },
    },
    async () => ({ items: await listTrunks(db) }),
  );

  app.post(
    '/v1/trunks',
    {
      schema: {
        tags,
        summary: 'Add a trunk',
        description: 'It is brought to every Asterisk node at once, and places calls when it is there.',
        body: newTrunk,
        response: { 201: trunk },
      },
    },
    async ({ body: { secret, ...setup } }, reply) => {
      requireConsistent(setup, secret !== null);
      const box = secret === null ? null : sealSecret(secret, setup.name);
      return reply.code(201).send(await createTrunk(db, { ...setup, secret: box }));
    },
  );

  app.patch(
    '/v1/trunks/:id',
    {
      schema: {
        tags,
        summary: 'Change a trunk',
        description:
          'Without a restart: calls that ring or talk go on, and the change holds from the next call on.',
        params: idParams,
        body: patch,
        response: { 200: trunk },
      },
    },
    async ({ params, body: { secret, ...changes } }) =>
      existing(
        await updateTrunk(db, params.id, (current) => {
          const setup = { ...setupOf(current), ...defined(changes) };
          requireConsistent(setup, secret === undefined ? current.hasSecret : secret !== null);
          return {
            ...setup,
            secret: typeof secret === 'string' ? sealSecret(secret, current.name) : secret,
          };
        }),
      ),
  );

  for (const [action, state, summary, description] of ACTIONS)
    app.post(
      `/v1/trunks/:id/${action}`,
      { schema: { tags, summary, description, params: idParams, response: { 200: acted } } },
      async ({ params: { id } }) => ({
        ...existing(await setTrunkState(db, id, state)),
        settled: await settled(clock, async () => state !== 'active' && (await trunkHasClaims(db, id))),
      }),
    );

  app.delete(
    '/v1/trunks/:id',
    {
      schema: {
        tags,
        summary: 'Remove a trunk',
        description: 'Once it is drained. Its secret is deleted; calls of the past go on naming it.',
        params: idParams,
        response: { 200: trunk },
      },
    },
    async ({ params }) => existing(await removeTrunk(db, params.id)),
  );
}

function existing(trunk: Trunk | undefined): Trunk {
  if (trunk === undefined) throw new RollcallError('NOT_FOUND', 'there is no trunk with this id');
  return trunk;
}

/** Throws INPUT_INVALID for fields that do not go together. */
function requireConsistent(setup: TrunkSetup, hasSecret: boolean): void {
  const problems = trunkProblems(setup, hasSecret);
  if (problems.length > 0)
    throw fieldErrors('INPUT_INVALID', 'the request is not valid; see errors', problems);
}

function setupOf(trunk: Trunk): TrunkSetup {
  const { id, name, hasSecret, state, stateReason, openCalls, createdAt, ...setup } = trunk;
  return setup;
}

/** Without the fields that are undefined: those that the request left out. */
function defined<T extends object>(changes: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
