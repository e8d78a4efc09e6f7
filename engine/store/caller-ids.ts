import { RollcallError } from '../errors.ts';
import { maybeOne, one, type Queryable, rows } from './db.ts';

/** A number that the district may show to those it calls, and how that is known. */
export interface CallerId {
  phone: string;
  proof: string;
  provenAt: Date;
  /** Name of the API key that stated the proof. */
  createdBy: string;
}

const COLUMNS = 'phone, proof, proven_at as "provenAt", created_by as "createdBy"';

const LIST = `select ${COLUMNS} from caller_ids order by phone`;

const PUT = `
  insert into caller_ids (phone, proof, proven_at, created_by) values ($1, $2, coalesce($3, now()), $4)
  on conflict (phone) do update set
    proof = excluded.proof, proven_at = excluded.proven_at, created_by = excluded.created_by
  returning ${COLUMNS}, (xmax = 0) as created`;

const REMOVE = `delete from caller_ids where phone = $1 returning ${COLUMNS}`;

/** Every caller ID, by number. */
export async function listCallerIds(db: Queryable): Promise<CallerId[]> {
  return rows<CallerId>(db, LIST);
}

/** Adds a caller ID, or replaces its proof. `provenAt` is now where it is null. */
export async function putCallerId(
  db: Queryable,
  { phone, proof, provenAt, createdBy }: Omit<CallerId, 'provenAt'> & { provenAt: Date | null },
): Promise<{ callerId: CallerId; created: boolean }> {
  const { created, ...callerId } = await one<CallerId & { created: boolean }>(db, PUT, [
    phone,
    proof,
    provenAt,
    createdBy,
  ]);
  return { callerId, created };
}

/** Removes a caller ID; undefined when there is none. Throws CONFLICT while a site or a trunk shows it. */
export async function removeCallerId(db: Queryable, phone: string): Promise<CallerId | undefined> {
  try {
    return await maybeOne<CallerId>(db, REMOVE, [phone]);
  } catch (error) {
    if (!isUnproven(error)) throw error;
    throw new RollcallError(
      'CONFLICT',
      'a site or a trunk shows this caller ID; give those another one first',
      {
        cause: error,
      },
    );
  }
}

/** Awaits a statement that may set a caller ID. Throws CALLER_ID_UNPROVEN for one that is not in the list. */
export async function provenCallerId<T>(statement: Promise<T>): Promise<T> {
  try {
    return await statement;
  } catch (error) {
    if (!isUnproven(error)) throw error;
    throw new RollcallError(
      'CALLER_ID_UNPROVEN',
      "this caller ID is not known to be the district's: state how it is proven by PUT /v1/caller-ids/{phone} first",
      { cause: error },
    );
  }
}

/** The two constraints that point to the list. */
const isUnproven = (error: unknown): boolean =>
  ['sites_caller_id_proven', 'trunks_caller_id_proven'].includes(
    (error as { constraint?: string }).constraint ?? '',
  );
