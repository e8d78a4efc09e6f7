import { type Policy, policySchema } from '../domain/policy.ts';
import type { SiteLevel } from '../domain/terms.ts';
import { provenCallerId } from './caller-ids.ts';
import { maybeOne, one, type Queryable, rows } from './db.ts';

/** The one district of this installation. */
export interface District {
  name: string;
  /** IANA zone whose clock and calendar hold where nothing nearer says otherwise. */
  zone: string;
  /** ISO 3166-1 alpha-2: in which country a number without a country code is. */
  country: string;
  callbackPhone: string | null;
  /** With every default filled in. */
  policy: Policy;
}

export interface Site {
  id: string;
  code: string;
  name: string;
  level: SiteLevel;
  /** null: the district's. */
  zone: string | null;
  callbackPhone: string | null;
  callerId: string | null;
}

const GET_DISTRICT = `
  select name, zone, country, callback_phone as "callbackPhone", policy from district`;

const PUT_DISTRICT = `
  insert into district (name, zone, country, callback_phone, policy) values ($1, $2, $3, $4, $5)
  on conflict (only_row) do update set
    name = excluded.name, zone = excluded.zone, country = excluded.country,
    callback_phone = excluded.callback_phone, policy = excluded.policy`;

const SITE_COLUMNS = `
  id, code, name, level, zone, callback_phone as "callbackPhone", caller_id as "callerId"`;

const LIST_SITES = `select ${SITE_COLUMNS} from sites order by code`;

const PUT_SITE = `
  insert into sites (code, name, level, zone, callback_phone, caller_id) values ($1, $2, $3, $4, $5, $6)
  on conflict (code) do update set
    name = excluded.name, level = excluded.level, zone = excluded.zone,
    callback_phone = excluded.callback_phone, caller_id = excluded.caller_id
  returning ${SITE_COLUMNS}, (xmax = 0) as created`;

const UNKNOWN_SITES = `
  select code from unnest($1::text[]) with ordinality as asked (code, position)
  where not exists (select from sites where sites.code = asked.code)
  order by position`;

/** The district, or undefined while nobody has set it up. */
export async function getDistrict(db: Queryable): Promise<District | undefined> {
  const row = await maybeOne<Omit<District, 'policy'> & { policy: unknown }>(db, GET_DISTRICT);
  // Stored as it was given, so that a later version's better defaults reach districts that chose none.
  return row && { ...row, policy: policySchema.parse(row.policy) };
}

/** Sets the district up, or replaces it. `policy` holds only what the district chose; the rest is default. */
export async function putDistrict(
  db: Queryable,
  district: Omit<District, 'policy'> & { policy: { [K in keyof Policy]?: Policy[K] | undefined } },
): Promise<void> {
  const { name, zone, country, callbackPhone, policy } = district;
  await db.query(PUT_DISTRICT, [name, zone, country, callbackPhone, JSON.stringify(policy)]);
}

/** Every site, by code. */
export async function listSites(db: Queryable): Promise<Site[]> {
  return rows<Site>(db, LIST_SITES);
}

/** Adds a site, or replaces the one of this code. Throws CALLER_ID_UNPROVEN. */
export async function putSite(
  db: Queryable,
  site: Omit<Site, 'id'>,
): Promise<{ site: Site; created: boolean }> {
  const { code, name, level, zone, callbackPhone, callerId } = site;
  const { created, ...stored } = await provenCallerId(
    one<Site & { created: boolean }>(db, PUT_SITE, [code, name, level, zone, callbackPhone, callerId]),
  );
  return { site: stored, created };
}

/** Those of the codes that no site has, in the order given. */
export async function unknownSites(db: Queryable, codes: readonly string[]): Promise<string[]> {
  const found = await rows<{ code: string }>(db, UNKNOWN_SITES, [codes]);
  return found.map(({ code }) => code);
}
