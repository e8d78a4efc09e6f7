import type { TrunkLine } from '../domain/ledger.ts';
import type { NumberFormat } from '../domain/trunk.ts';
import { RollcallError } from '../errors.ts';
import { maybeOne, type Queryable, rows } from './db.ts';
import { wakeDialer } from './notify.ts';

export interface Trunk extends Omit<TrunkLine, 'active'> {
  /** `refused`: the carrier refused our calls, see `stateReason`; set it to `active` once that is mended. */
  state: 'active' | 'paused' | 'refused';
  stateReason: string | null;
  createdAt: Date;
}

export type NewTrunk = Pick<
  Trunk,
  'name' | 'endpoint' | 'maxChannels' | 'callsPerSecond' | 'numberFormat' | 'callerId'
>;

/** What is absent stays as it is; a null caller id takes it away. */
export interface TrunkPatch {
  maxChannels?: number | undefined;
  callsPerSecond?: number | undefined;
  numberFormat?: NumberFormat | undefined;
  callerId?: string | null | undefined;
  state?: 'active' | 'paused' | undefined;
}

const COLUMNS = `
  id, name, endpoint, max_channels as "maxChannels", calls_per_second as "callsPerSecond",
  number_format as "numberFormat", caller_id as "callerId", state, state_reason as "stateReason",
  created_at as "createdAt"`;

const LIST = `select ${COLUMNS} from trunks order by name`;

const CREATE = `
  insert into trunks (name, endpoint, max_channels, calls_per_second, number_format, caller_id)
  values ($1, $2, $3, $4, $5, $6)
  on conflict (name) do nothing
  returning ${COLUMNS}`;

const UPDATE = `
  update trunks set
    max_channels = coalesce($2, max_channels), calls_per_second = coalesce($3, calls_per_second),
    number_format = coalesce($4, number_format),
    caller_id = case when $5::boolean then $6 else caller_id end,
    state = coalesce($7, state), state_reason = case when $7::text is null then state_reason end
  where id = $1
  returning ${COLUMNS}`;

/** Every trunk, by name. */
export async function listTrunks(db: Queryable): Promise<Trunk[]> {
  return rows<Trunk>(db, LIST);
}

/** Adds a trunk and wakes the dialer. Throws CONFLICT when the name is taken. */
export async function createTrunk(db: Queryable, trunk: NewTrunk): Promise<Trunk> {
  const { name, endpoint, maxChannels, callsPerSecond, numberFormat, callerId } = trunk;
  const created = await maybeOne<Trunk>(db, CREATE, [
    name,
    endpoint,
    maxChannels,
    callsPerSecond,
    numberFormat,
    callerId,
  ]);
  if (created === undefined)
    throw new RollcallError(
      'CONFLICT',
      'there is a trunk of this name; change that one, or choose another name',
    );
  await wakeDialer(db);
  return created;
}

/** Changes a trunk and wakes the dialer; undefined when there is none. */
export async function updateTrunk(db: Queryable, id: string, patch: TrunkPatch): Promise<Trunk | undefined> {
  const updated = await maybeOne<Trunk>(db, UPDATE, [
    id,
    patch.maxChannels,
    patch.callsPerSecond,
    patch.numberFormat,
    patch.callerId !== undefined,
    patch.callerId,
    patch.state,
  ]);
  if (updated !== undefined) await wakeDialer(db);
  return updated;
}
