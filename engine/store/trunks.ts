import type { TrunkSetup, TrunkState } from '../domain/trunk.ts';
import type { TrunkHealthReport } from '../domain/trunk-health.ts';
import { RollcallError } from '../errors.ts';
import { provenCallerId } from './caller-ids.ts';
import { type Database, inTransaction, maybeOne, one, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';

/** A trunk as it may be shown: its secret is not among it. */
export interface Trunk extends TrunkSetup {
  id: string;
  name: string;
  hasSecret: boolean;
  state: TrunkState;
  stateReason: string | null;
  /** Calls by it that have not ended. */
  openCalls: number;
  /** The machine and process that places its calls at this moment; null: none does. */
  engine: string | null;
  /** As that engine saw it a second ago. */
  health: TrunkHealthReport | null;
  createdAt: Date;
}

/** A trunk as Asterisk must know it, `secret` still in its box. */
export interface NodeTrunk
  extends Pick<
    TrunkSetup,
    'host' | 'port' | 'transport' | 'auth' | 'username' | 'fromDomain' | 'codecs' | 'qualifySeconds'
  > {
  id: string;
  name: string;
  /** Grows with each change of the others. */
  revision: number;
  secret: Buffer | null;
}

const COLUMNS = `
  id, name, host, port, transport, auth, username, secret is not null as "hasSecret",
  from_domain as "fromDomain", codecs, max_channels as "maxChannels", calls_per_second as "callsPerSecond",
  number_format as "numberFormat", number_prefix as "numberPrefix", allowed_prefixes as "allowedPrefixes",
  caller_id as "callerId", priority, weight, qualify_seconds as "qualifySeconds", state,
  state_reason as "stateReason", created_at as "createdAt",
  (select count(*) from attempts where trunk_id = trunks.id and attempts.state <> 'ended')::integer as "openCalls",
  (select engine from trunk_leases where trunk_id = trunks.id and expires_at > now()) as engine,
  case when exists (select from trunk_leases where trunk_id = trunks.id and expires_at > now()) then health end
    as health`;

const LIST = `select ${COLUMNS} from trunks where removed_at is null order by name`;

const LOCK = `select ${COLUMNS} from trunks where id = $1 and removed_at is null for update`;

/** The fields of a setup, in the order of {@link valuesOf}. */
const SETUP = `
  host, port, transport, auth, username, from_domain, codecs, qualify_seconds, max_channels, calls_per_second,
  number_format, number_prefix, allowed_prefixes, caller_id, priority, weight`;

const CREATE = `
  insert into trunks (name, secret, ${SETUP})
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
  on conflict (name) where removed_at is null do nothing
  returning ${COLUMNS}`;

// A box differs each time it is sealed, so that a secret that is set always counts as changed.
const UPDATE = `
  update trunks set
    secret = $2,
    (${SETUP}) = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18),
    revision = revision + case when
      (secret, host, port, transport, auth, username, from_domain, codecs, qualify_seconds)
      is distinct from ($2, $3, $4, $5, $6, $7, $8, $9::text[], $10::smallint)
      then 1 else 0 end
  where id = $1
  returning ${COLUMNS}`;

const SECRET = 'select secret from trunks where id = $1';

const SET_STATE = `
  update trunks set state = $2, state_reason = null where id = $1 returning ${COLUMNS}`;

const REMOVE = `
  update trunks set state = 'paused', state_reason = 'removed', secret = null, removed_at = now() where id = $1
  returning ${COLUMNS}`;

const OPEN_CALLS = `select count(*)::integer as calls from attempts where trunk_id = $1 and state <> 'ended'`;

const ANY_CLAIMED = `
  select exists (select from attempts where trunk_id = $1 and state = 'claimed') as claimed`;

const DRAINED = `
  update trunks set state = 'paused', state_reason = 'drained: its last call has ended'
  where state = 'draining'
    and not exists (select from attempts where trunk_id = trunks.id and attempts.state <> 'ended')
  returning name`;

const FOR_NODES = `
  select id, name, revision, host, port, transport, auth, username, secret, from_domain as "fromDomain", codecs,
    qualify_seconds as "qualifySeconds"
  from trunks where removed_at is null order by name`;

const valuesOf = (setup: TrunkSetup): unknown[] => [
  ...[setup.host, setup.port, setup.transport, setup.auth, setup.username, setup.fromDomain, setup.codecs],
  ...[setup.qualifySeconds, setup.maxChannels, setup.callsPerSecond, setup.numberFormat, setup.numberPrefix],
  ...[setup.allowedPrefixes, setup.callerId, setup.priority, setup.weight],
];

/** Every trunk that was not removed, by name. */
export async function listTrunks(db: Queryable): Promise<Trunk[]> {
  return rows<Trunk>(db, LIST);
}

/** As {@link listTrunks}, for bringing them to Asterisk. */
export async function trunksForNodes(db: Queryable): Promise<NodeTrunk[]> {
  return rows<NodeTrunk>(db, FOR_NODES);
}

/**
 * Adds a trunk and wakes the dialer; `secret` is its box. Throws CONFLICT when the name is taken, and
 * CALLER_ID_UNPROVEN.
 */
export async function createTrunk(
  db: Queryable,
  { name, secret, ...setup }: TrunkSetup & { name: string; secret: Buffer | null },
): Promise<Trunk> {
  const created = await provenCallerId(maybeOne<Trunk>(db, CREATE, [name, secret, ...valuesOf(setup)]));
  if (created === undefined)
    throw new RollcallError(
      'CONFLICT',
      'there is a trunk of this name; change that one, or choose another name',
    );
  await wakeDialer(db);
  return created;
}

/**
 * Changes a trunk to what `change` makes of it, under a lock, and wakes the dialer; undefined when there is none.
 * A `secret` of undefined stays as it is, null takes it away. Throws what `change` throws, and
 * CALLER_ID_UNPROVEN.
 */
export async function updateTrunk(
  db: Database,
  id: string,
  change: (current: Trunk) => TrunkSetup & { secret?: Buffer | null | undefined },
): Promise<Trunk | undefined> {
  return inTransaction(db, async (tx) => {
    const current = await maybeOne<Trunk>(tx, LOCK, [id]);
    if (current === undefined) return undefined;
    const { secret: given, ...setup } = change(current);
    const kept = await maybeOne<{ secret: Buffer | null }>(tx, SECRET, [id]);
    const secret = given === undefined ? kept?.secret : given;
    const updated = await provenCallerId(maybeOne<Trunk>(tx, UPDATE, [id, secret, ...valuesOf(setup)]));
    await wakeDialer(tx);
    return updated;
  });
}

/**
 * Pauses, drains or resumes a trunk and wakes the dialer; undefined when there is none. Repeating it changes
 * nothing. Throws STATE_FORBIDS for a drain of a trunk that has nothing to drain.
 */
export async function setTrunkState(
  db: Database,
  id: string,
  state: Exclude<TrunkState, 'refused'>,
): Promise<Trunk | undefined> {
  return inTransaction(db, async (tx) => {
    const current = await maybeOne<Trunk>(tx, LOCK, [id]);
    if (current === undefined || current.state === state) return current;
    if (state === 'draining' && current.state !== 'active')
      throw new RollcallError('STATE_FORBIDS', `this trunk is ${current.state} and places no calls already`);
    const changed = await maybeOne<Trunk>(tx, SET_STATE, [id, state]);
    await wakeDialer(tx);
    return changed;
  });
}

/**
 * Removes a trunk and its secret; the ledger's old calls go on naming it. Undefined when there is none. Throws
 * STATE_FORBIDS while it may place calls, or has one that has not ended.
 */
export async function removeTrunk(db: Database, id: string): Promise<Trunk | undefined> {
  return inTransaction(db, async (tx) => {
    const current = await maybeOne<Trunk>(tx, LOCK, [id]);
    if (current === undefined) return undefined;
    // Counted anew: the lock may have waited for a claim.
    const { calls } = await one<{ calls: number }>(tx, OPEN_CALLS, [id]);
    if (current.state === 'active' || calls > 0)
      throw new RollcallError(
        'STATE_FORBIDS',
        'this trunk is in use: drain it, and remove it when its openCalls is 0',
      );
    await wakeDialer(tx);
    return maybeOne<Trunk>(tx, REMOVE, [id]);
  });
}

/** True while an INVITE of a claim by this trunk may still leave. */
export async function trunkHasClaims(db: Queryable, id: string): Promise<boolean> {
  return (await one<{ claimed: boolean }>(db, ANY_CLAIMED, [id])).claimed;
}

/** Pauses those draining trunks whose last call has ended; returns their names. */
export async function settleDraining(db: Queryable): Promise<string[]> {
  return (await rows<{ name: string }>(db, DRAINED)).map(({ name }) => name);
}
