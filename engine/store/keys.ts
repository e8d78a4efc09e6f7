import { createHash, randomBytes } from 'node:crypto';
import type { Role } from '../domain/terms.ts';
import { RollcallError } from '../errors.ts';
import { type Database, inTransaction, maybeOne, type Queryable, rows } from './db.ts';

/** An API key as it may be shown: the secret itself is not stored. */
export interface ApiKey {
  id: string;
  name: string;
  role: Role;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

const COLUMNS = `
  id, name, role, created_at as "createdAt", last_used_at as "lastUsedAt", revoked_at as "revokedAt"`;

const CREATE = `
  insert into api_keys (name, role, key_hash) values ($1, $2, $3)
  on conflict (name) do nothing
  returning id`;

// The hash of 256 random bits: an index look-up tells nothing about a key that is almost right.
const FIND = `
  select ${COLUMNS}, last_used_at is null or last_used_at < now() - interval '1 minute' as stale
  from api_keys where key_hash = $1 and revoked_at is null`;

// The condition repeats what the caller saw: of a hundred requests at once, one writes.
const TOUCH = `
  update api_keys set last_used_at = now()
  where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`;

const LIST = `select ${COLUMNS} from api_keys order by created_at, id`;

// Locks every key that could be the last one, so that two of them cannot revoke each other.
const LOCK_ADMINISTRATORS = `
  select id from api_keys where role = 'administrator' and revoked_at is null order by id for update`;

const REVOKE = `
  update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 returning ${COLUMNS}`;

const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();

/**
 * Makes a key: `rc_` and 256 random bits in base64url. `key` is the only copy; the database keeps its hash.
 * Throws CONFLICT when the name is taken, also by a revoked key.
 */
export async function createKey(
  db: Queryable,
  { name, role }: { name: string; role: Role },
): Promise<{ id: string; key: string }> {
  const key = `rc_${randomBytes(32).toString('base64url')}`;
  const row = await maybeOne<{ id: string }>(db, CREATE, [name, role, hashOf(key)]);
  if (row === undefined)
    throw new RollcallError('CONFLICT', 'there is, or was, a key of this name; choose another name');
  return { id: row.id, key };
}

/** The living key with this secret, noting its use at most once a minute; undefined for any other text. */
export async function useKey(db: Queryable, key: string): Promise<ApiKey | undefined> {
  const found = await maybeOne<ApiKey & { stale: boolean }>(db, FIND, [hashOf(key)]);
  if (found === undefined) return undefined;
  const { stale, ...apiKey } = found;
  if (stale) await db.query(TOUCH, [apiKey.id]);
  return apiKey;
}

/** Every key, also revoked ones, oldest first. */
export async function listKeys(db: Queryable): Promise<ApiKey[]> {
  return rows<ApiKey>(db, LIST);
}

/**
 * Revokes a key from the next request on; a key that already is stays as it was. Undefined when there is no
 * such key. Throws STATE_FORBIDS for the last administrator's key, which would lock everybody out.
 */
export async function revokeKey(db: Database, id: string): Promise<ApiKey | undefined> {
  return inTransaction(db, async (tx) => {
    const administrators = await rows<{ id: string }>(tx, LOCK_ADMINISTRATORS);
    if (administrators.length === 1 && administrators[0]?.id === id)
      throw new RollcallError(
        'STATE_FORBIDS',
        'this is the last key of an administrator; create another one before you revoke it',
      );
    return maybeOne<ApiKey>(tx, REVOKE, [id]);
  });
}
