import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { isRollcallError } from '../errors.ts';
import type { AriHttp } from './http.ts';

/** What Asterisk must know of a trunk. All its PJSIP objects have the trunk's name: dial `PJSIP/<number>@<name>`. */
export interface TrunkSettings {
  name: string;
  /** Host name, SRV name or IPv4 address. */
  host: string;
  /** Null: the SRV records of `host`, and if it has none its address and the protocol's own port. */
  port: number | null;
  transport: 'udp' | 'tcp' | 'tls';
  /** `ip`: the carrier knows our address; the others answer its challenges with `username` and `secret`. */
  auth: 'ip' | 'digest' | 'registration';
  username: string | null;
  /** In clear. It leaves the engine for Asterisk only. */
  secret: string | null;
  /** Domain of our From header, where the carrier wants its own; a registration has `host` without it. */
  fromDomain: string | null;
  /** In the order of preference. */
  codecs: readonly string[];
  /** Seconds between OPTIONS to the carrier; 0 for none. */
  qualifySeconds: number;
}

type ObjectType = 'auth' | 'aor' | 'endpoint' | 'registration' | 'identify';

/** One object of `/ari/asterisk/config/dynamic/res_pjsip/<type>/<trunk's name>`. */
export interface TrunkObject {
  type: ObjectType;
  fields: Readonly<Record<string, string>>;
}

export interface AppliedTrunk {
  /**
   * False when the host's address could not be found, now. Calls to it fail for as long as that lasts, and the
   * carrier's own requests get a 401 until the trunk is applied again.
   */
  addressKnown: boolean;
}

/** In the order of creation: each names those before it. */
const TYPES: readonly ObjectType[] = ['auth', 'aor', 'endpoint', 'registration', 'identify'];

/**
 * The same for all trunks. An update keeps what it does not name, so nothing here may come and go. All values
 * are in the form that Asterisk gives back (`false` here, `no` there), so that an equal object is known as such.
 */
const ENDPOINT = {
  context: 'from-trunk',
  identify_by: 'ip',
  // Audio passes through Asterisk, which plays it and listens for keys; never phone to phone.
  direct_media: 'false',
  // Audio goes back to where it comes from: carriers and NAT announce other ports than they use.
  rtp_symmetric: 'true',
  force_rport: 'true',
  dtmf_mode: 'rfc4733',
  // Reliable provisional answers (PRACK) bring nothing here and break with some carriers.
  '100rel': 'no',
  // Session timers when the carrier asks for them, in seconds: they end calls whose BYE was lost.
  timers: 'yes',
  timers_sess_expires: '1800',
  timers_min_se: '90',
  // Seconds without a single audio packet after which a call is dead. Not lower: some carriers send nothing
  // while the callee is silent, and a message of a minute and more is listened to in silence.
  rtp_timeout: '180',
  // Seconds between comfort-noise packets while nothing is played, to keep NAT and carriers open.
  rtp_keepalive: '10',
  // The caller's number goes into From and P-Asserted-Identity.
  send_pai: 'true',
  trust_id_outbound: 'true',
  // What calls do not need.
  allow_transfer: 'false',
  allow_subscribe: 'false',
  send_connected_line: 'no',
  ice_support: 'false',
  t38_udptl: 'false',
  media_encryption: 'no',
  language: 'en',
  tone_zone: 'us',
};

/** Seconds: life of a registration, and between tries. No refusal is final: a 403 may be a passing fault. */
const REGISTRATION = {
  expiration: '300',
  retry_interval: '30',
  forbidden_retry_interval: '300',
  fatal_retry_interval: '300',
  auth_rejection_permanent: 'false',
  max_retries: '100000',
  // The delay is for machines with hundreds of registrations.
  max_random_initial_delay: '0',
  // Requests of the carrier are known by the "line" that the registration carries.
  line: 'true',
};

/**
 * The objects of a trunk, in the order in which Asterisk must get them: each names those before it. Removing
 * goes the other way round. Pure; the values are those of a checked trunk and go to Asterisk as they are.
 */
export function trunkObjects(trunk: TrunkSettings): TrunkObject[] {
  const { name, auth, transport, host, port } = trunk;
  const address = `${host}${port === null ? '' : `:${port}`}`;
  const uri = `sip:${address}${transport === 'udp' ? '' : `;transport=${transport}`}`;
  const fromDomain = trunk.fromDomain ?? (auth === 'registration' ? host : '');
  const objects: TrunkObject[] = [
    {
      type: 'aor',
      fields: { contact: uri, qualify_frequency: String(trunk.qualifySeconds), qualify_timeout: '3.000000' },
    },
    {
      type: 'endpoint',
      fields: {
        ...ENDPOINT,
        transport: `transport-${transport}`,
        aors: name,
        outbound_auth: auth === 'ip' ? '' : name,
        from_domain: fromDomain,
        allow: `!all,${trunk.codecs.join(',')}`,
      },
    },
  ];
  if (auth !== 'ip') {
    const fields = { auth_type: 'userpass', username: trunk.username ?? '', password: trunk.secret ?? '' };
    objects.unshift({ type: 'auth', fields });
  }
  if (auth === 'registration') {
    const fields = {
      ...REGISTRATION,
      transport: `transport-${transport}`,
      outbound_auth: name,
      endpoint: name,
      server_uri: uri,
      client_uri: `sip:${trunk.username}@${fromDomain}`,
      contact_user: trunk.username ?? '',
    };
    objects.push({ type: 'registration', fields });
  }
  // Connections of TCP and TLS come from any port. A UDP carrier's port tells two at one address apart.
  const peer = transport === 'udp' ? address : host;
  const fields = isIPv4(host)
    ? { endpoint: name, srv_lookups: 'false', match: `${peer}/255.255.255.255` }
    : { endpoint: name, srv_lookups: String(port === null), match: peer };
  objects.push({ type: 'identify', fields });
  return objects;
}

/**
 * Brings a trunk to one Asterisk, new or changed; calls that are under way go on. What Asterisk has already is
 * left alone, so that applying a trunk again neither registers again nor forgets that the carrier is reachable.
 * One at a time for each trunk and node.
 *
 * Throws ARI_UNAVAILABLE, and ARI_REFUSED for a value that Asterisk does not take: then it has a part of the
 * change, and applying again completes it.
 */
export async function applyTrunk(http: AriHttp, trunk: TrunkSettings): Promise<AppliedTrunk> {
  const { name } = trunk;
  const objects = trunkObjects(trunk);
  let addressKnown = true;
  for (const { type, fields } of objects) {
    const has = await read(http, type, name);
    if (Object.entries(fields).every(([field, value]) => same(field, value, has.get(field)))) continue;
    // An update would add the new address to the old one.
    const adds =
      type === 'identify' || (type === 'aor' && !same('contact', fields.contact, has.get('contact')));
    if (adds) await remove(http, type, name);
    // It would go on with the old password until its next refresh.
    if (type === 'auth' && trunk.auth === 'registration') await remove(http, 'registration', name);
    if (type === 'identify') addressKnown = await putIdentify(http, name, fields);
    else await put(http, type, name, fields);
  }
  const wanted = new Set(objects.map(({ type }) => type));
  for (const type of [...TYPES].reverse()) if (!wanted.has(type)) await remove(http, type, name);
  return { addressKnown };
}

/**
 * Takes a trunk away from one Asterisk, also one that it does not know. Calls that are under way go on. Asterisk
 * asks the carrier to end a registration, but its account is gone before a challenge to that can be answered: then
 * the registration ends by itself, after 300 s at most.
 */
export async function removeTrunk(http: AriHttp, name: string): Promise<void> {
  for (const type of [...TYPES].reverse()) await remove(http, type, name);
}

/** Asterisk looks a name's addresses up here, and then never again. */
async function putIdentify(http: AriHttp, name: string, fields: TrunkObject['fields']): Promise<boolean> {
  try {
    await put(http, 'identify', name, fields);
    return true;
  } catch (error) {
    if (isRollcallError(error, 'ARI_REFUSED') && error.details.status === 400) return false;
    throw error;
  }
}

const endpoints = z.array(z.object({ resource: z.string() }));

/** Names of the trunks that one Asterisk has. */
export async function trunksOf(http: AriHttp): Promise<string[]> {
  const found = endpoints.parse((await http.request('GET', '/endpoints/PJSIP', { tolerate: [404] })) ?? []);
  return found.map(({ resource }) => resource);
}

const path = (type: ObjectType, name: string) =>
  `/asterisk/config/dynamic/res_pjsip/${type}/${encodeURIComponent(name)}`;

async function put(http: AriHttp, type: ObjectType, name: string, values: TrunkObject['fields']) {
  const fields = Object.entries(values).map(([attribute, value]) => ({ attribute, value }));
  await http.request('PUT', path(type, name), { body: { fields } });
}

async function remove(http: AriHttp, type: ObjectType, name: string): Promise<void> {
  await http.request('DELETE', path(type, name), { tolerate: [404] });
}

const attributes = z.array(z.object({ attribute: z.string(), value: z.string() }));

/** The object's fields as Asterisk has them, a repeated one with all its values; empty when there is none. */
async function read(http: AriHttp, type: ObjectType, name: string): Promise<Map<string, string[]>> {
  const body = await http.request('GET', path(type, name), { tolerate: [404] });
  const fields = new Map<string, string[]>();
  for (const { attribute, value } of attributes.parse(body ?? [])) {
    fields.set(attribute, [...(fields.get(attribute) ?? []), value]);
  }
  return fields;
}

function same(field: string, value: string | undefined, has: string[] | undefined): boolean {
  // The only one that is read in another form than it is written: `!all,ulaw,alaw` becomes `(ulaw|alaw)`.
  const read = field === 'allow' ? `(${value?.split(',').slice(1).join('|')})` : value;
  return has?.length === 1 && has[0] === read;
}
