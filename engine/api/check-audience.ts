import type { Audience } from '../domain/audience.ts';
import { parsePhone } from '../domain/phone.ts';
import { RollcallError } from '../errors.ts';
import type { Queryable } from '../store/db.ts';
import { type District, getDistrict, unknownSites } from '../store/district.ts';
import type { ApiDeps } from './deps.ts';
import { type FieldError, fieldErrors } from './problem.ts';

const FIELDS_SHOWN = 100;

/** The district; throws STATE_FORBIDS while it is not set up. */
export async function requireDistrict(db: Queryable): Promise<District> {
  const district = await getDistrict(db);
  if (district === undefined)
    throw new RollcallError('STATE_FORBIDS', 'the district is not set up yet: PUT /v1/district first');
  return district;
}

/** Throws TEMPLATE_INVALID, naming those that there are, when the engine has no such template. */
export function requireTemplate(templates: ApiDeps['templates'], name: string): void {
  if (!templates.has(name))
    throw fieldErrors(
      'TEMPLATE_INVALID',
      `there is no template of this name; there are: ${templates.names().join(', ') || 'none'}`,
      [{ field: 'template', reason: 'is not a template' }],
    );
}

/**
 * The audience as it may be stored: its numbers in E.164, each once. Throws NOT_FOUND naming the sites that
 * do not exist, or INPUT_INVALID with the place of each bad number, and never the number itself.
 */
export async function checkAudience(db: Queryable, audience: Audience, country: string): Promise<Audience> {
  const asked = audience.kind === 'numbers' ? [audience.site] : (audience.sites ?? []);
  const unknown = await unknownSites(db, asked);
  if (unknown.length > 0)
    throw fieldErrors(
      'NOT_FOUND',
      'the audience names sites that do not exist; GET /v1/sites lists them',
      unknown.slice(0, FIELDS_SHOWN).map((code) => ({
        field: audience.kind === 'numbers' ? 'audience.site' : `audience.sites.${asked.indexOf(code)}`,
        reason: `no site has the code ${code}`,
      })),
    );
  return audience.kind === 'numbers'
    ? { ...audience, phones: normalisePhones(audience.phones, country) }
    : audience;
}

function normalisePhones(phones: readonly string[], country: string): string[] {
  const good = new Set<string>();
  const bad: FieldError[] = [];
  phones.forEach((phone, index) => {
    const parsed = parsePhone(phone, country);
    if (parsed.ok) good.add(parsed.e164);
    else bad.push({ field: `audience.phones.${index}`, reason: parsed.reason });
  });
  if (bad.length > 0)
    throw fieldErrors(
      'INPUT_INVALID',
      `${bad.length} of ${phones.length} numbers cannot be called; see errors`,
      bad.slice(0, FIELDS_SHOWN),
    );
  return [...good];
}
