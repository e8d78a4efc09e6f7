import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { Api } from './deps.ts';
import { isPublic, rolesFor } from './permissions.ts';

const DESCRIPTION = `
Places a school district's calls over its own SIP trunks, and reports what became of each.

- Every request under /v1 carries \`Authorization: Bearer rc_…\`. Each operation names the roles that may use it.
- Every error is an RFC 9457 problem with a stable \`code\`; \`instance\` is the request's id in the log.
- Lists have \`items\` and \`next\`; give \`next\` as \`after\` to go on, until it is null.
- Times are RFC 3339 in UTC; dates (\`2026-09-14\`) are school days in the district's zone.
`;

const PROBLEM = {
  description: 'What went wrong, and what to do about it',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const FILE = { type: 'string', description: 'UTF-8 CSV with a header' };
const FILE_EXAMPLE = 'student_id,school_date,period,code\n100123,2026-09-14,all,unexcused\n';

/** The bodies that are streams, which Fastify must not validate and the documentation must still show. */
const STREAMED_BODIES: Readonly<Record<string, object>> = {
  '/v1/imports/:kind': {
    content: {
      'text/csv': { schema: { ...FILE, examples: [FILE_EXAMPLE] } },
      'multipart/form-data': {
        schema: {
          type: 'object',
          required: ['file'],
          properties: { file: { ...FILE, contentMediaType: 'text/csv' } },
          examples: [{ file: FILE_EXAMPLE }],
        },
      },
    },
  },
};

/** Describes the API: an OpenAPI 3.1 document at /docs/json, and a page to read it at /docs. */
export async function describeApi(app: Api): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Rollcall', description: DESCRIPTION, version: '1', license: { name: 'MIT' } },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', bearerFormat: 'rc_…' } } },
    },
    transform: (route) => {
      const { schema, url } = jsonSchemaTransform(route);
      if (schema === undefined || schema.hide === true) return { schema, url };
      const { response, description, ...rest } = schema as Record<string, unknown>;
      const method = [route.route.method].flat()[0] ?? 'GET';
      const roles = rolesFor(method, url)?.map((role) => `\`${role}\``) ?? [];
      const who = isPublic(url) ? 'No key is needed.' : `Roles: ${roles.join(', ')}.`;
      return {
        url,
        schema: {
          ...rest,
          description: [description, who].filter(Boolean).join('\n\n'),
          operationId: operationId(method, url),
          ...(!isPublic(url) && { security: [{ key: [] }] }),
          ...(STREAMED_BODIES[url] && method === 'POST' && { body: STREAMED_BODIES[url] }),
          response: { ...describeResponses(response as Record<string, object>), default: PROBLEM },
        },
      };
    },
    transformObject: jsonSchemaTransformObject,
  });
  // BaseLayout has no top bar, and so no logo of Fastify's.
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { docExpansion: 'list', layout: 'BaseLayout' },
  });
}

const RESPONSES: Readonly<Record<string, string>> = {
  200: 'What was asked for',
  201: 'Made, as it is now',
  202: 'Accepted',
  204: 'Done; there is nothing to say',
};

/** Each response says something, where its route has no words of its own for it. */
function describeResponses(responses: Record<string, object>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      'description' in response
        ? response
        : { ...response, 'x-response-description': RESPONSES[status] ?? 'Success' },
    ]),
  );
}

const operationId = (method: string, url: string): string =>
  [method.toLowerCase(), ...url.split(/[^A-Za-z0-9]+/).filter((part) => part !== '' && part !== 'v1')].join(
    '_',
  );
