import { z } from 'zod';
import { policySchema } from '../../domain/policy.ts';
import { SITE_LEVELS } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { getDistrict, listSites, putDistrict, putSite } from '../../store/district.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { country, e164, line, siteCode, zone } from '../schemas.ts';

const tags = ['District'];

const DISTRICT = {
  name: 'Adams 12 Five Star Schools',
  zone: 'America/Denver',
  country: 'US',
  callbackPhone: '+17205550100',
};
const SITE = {
  name: 'Lincoln Elementary',
  level: 'elementary',
  zone: null,
  callbackPhone: '+17205550110',
  callerId: '+17205550111',
};

type PolicyFields = typeof policySchema.shape;

/** The policy with every field optional and no default, so that only what was chosen is stored. */
const policyChoices = z.strictObject(
  Object.fromEntries(
    Object.entries(policySchema.shape).map(([name, field]) => [name, field.unwrap().optional()]),
  ) as { [K in keyof PolicyFields]: z.ZodOptional<ReturnType<PolicyFields[K]['unwrap']>> },
);

const districtFields = {
  name: line(120),
  zone,
  country,
  callbackPhone: e164.nullable().describe('What a parent who missed the call may ring'),
};
const districtBody = z
  .strictObject({
    ...districtFields,
    callbackPhone: districtFields.callbackPhone.default(null),
    policy: policyChoices.default({}).describe('What is left out has the default'),
  })
  .meta({ examples: [{ ...DISTRICT, policy: { window: { opens: '08:00', closes: '20:00' } } }] });
const district = z
  .object({ ...districtFields, policy: policySchema })
  .meta({ examples: [{ ...DISTRICT, policy: policySchema.parse({}) }] });

const siteFields = {
  name: line(120),
  level: z.enum(SITE_LEVELS),
  zone: zone.nullable().describe("null: the district's"),
  callbackPhone: e164.nullable(),
  callerId: e164.nullable().describe("Must be the district's to use"),
};
const siteBody = z
  .strictObject({
    ...siteFields,
    zone: siteFields.zone.default(null),
    callbackPhone: siteFields.callbackPhone.default(null),
    callerId: siteFields.callerId.default(null),
  })
  .meta({ examples: [SITE] });
const site = z.object({ code: siteCode, ...siteFields }).meta({ examples: [{ code: 'LINC', ...SITE }] });

export function districtRoutes(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.get(
    '/v1/district',
    { schema: { tags, summary: 'The district and its policy', response: { 200: district } } },
    async () => {
      const found = await getDistrict(db);
      if (found === undefined)
        throw new RollcallError('NOT_FOUND', 'the district is not set up yet: PUT /v1/district');
      return found;
    },
  );

  app.put(
    '/v1/district',
    {
      schema: {
        tags,
        summary: 'Set the district up, or replace it',
        body: districtBody,
        response: { 200: district },
      },
    },
    async ({ body }) => {
      await putDistrict(db, body);
      return { ...body, policy: policySchema.parse(body.policy) };
    },
  );

  app.get(
    '/v1/sites',
    {
      schema: {
        tags,
        summary: 'Every site, by code',
        response: {
          200: z
            .object({ items: z.array(site) })
            .meta({ examples: [{ items: [{ code: 'LINC', ...SITE }] }] }),
        },
      },
    },
    async () => ({ items: await listSites(db) }),
  );

  app.put(
    '/v1/sites/:code',
    {
      schema: {
        tags,
        summary: 'Add a site, or replace it',
        params: z.strictObject({ code: siteCode }),
        body: siteBody,
        response: { 200: site, 201: site },
      },
    },
    async ({ params, body }, reply) => {
      const { site, created } = await putSite(db, { code: params.code, ...body });
      return reply.code(created ? 201 : 200).send(site);
    },
  );
}
