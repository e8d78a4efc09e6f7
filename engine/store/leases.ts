import type { Lease } from '../domain/ledger.ts';
import { type Database, rows } from './db.ts';

// A lease that ran out and was taken by nobody is renewed as well: its fence shows that no other owner was there.
const RENEW = `
update trunk_leases set expires_at = now() + make_interval(secs => $3 / 1000.0), engine = $2
where holder = $1 and exists (select from trunks where id = trunk_id and removed_at is null)
returning trunk_id as "trunkId", fence`;

// One that ends far in the future was written before the database's clock was set back, and its owner is dead:
// a living one renews it. Takes the row's lock, which a claim holds in share mode: a take-over waits for a claim under way.
const TAKE = `
insert into trunk_leases (trunk_id, holder, fence, engine, expires_at)
select id, $1, 1, $2, now() + make_interval(secs => $3 / 1000.0) from trunks
where removed_at is null and id <> all ($4::uuid[]) and not exists (
  select from trunk_leases where trunk_id = trunks.id and (holder = $1
    or expires_at between now() and now() + make_interval(secs => 2 * $3 / 1000.0)))
on conflict (trunk_id) do update set
  holder = excluded.holder, fence = trunk_leases.fence + 1, engine = excluded.engine,
  expires_at = excluded.expires_at
where trunk_leases.expires_at < now()
  or trunk_leases.expires_at > now() + make_interval(secs => 2 * $3 / 1000.0)
returning trunk_id as "trunkId", fence`;

const RELEASE = `
update trunk_leases set expires_at = '-infinity', holder = gen_random_uuid()
where holder = $1 and trunk_id = any ($2::uuid[])`;

/**
 * Leases of trunks. Times are the database's own. The fence grows with each owner, and every write of an owner
 * carries it: one that was asleep while another took over changes nothing when it wakes.
 */
export function createLeases(db: Database) {
  return {
    async hold(
      holder: string,
      engine: string,
      ttlMs: number,
      { take, except }: { take: boolean; except: string[] },
    ): Promise<Lease[]> {
      const renewed = await rows<Lease>(db, RENEW, [holder, engine, ttlMs]);
      if (!take) return renewed;
      return [...renewed, ...(await rows<Lease>(db, TAKE, [holder, engine, ttlMs, except]))];
    },

    async release(holder: string, trunkIds: string[]): Promise<void> {
      await db.query(RELEASE, [holder, trunkIds]);
    },
  };
}
