import { Ajv2020 } from 'ajv/dist/2020.js';
import t from 'tap';
import { PERMISSIONS } from '../../engine/api/permissions.ts';
import { call, testApi } from '../support/api.ts';

interface Media {
  schema?: Record<string, unknown>;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  security?: unknown[];
  parameters?: ({ name: string; in: string; required?: boolean; schema: object } & Media)[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { description: string; content?: Record<string, Media> }>;
}

const api = await testApi(t);
const { body: document } = await call(api, '/docs/json', { as: null });
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
const ajv = new Ajv2020({
  strict: false,
  validateFormats: false,
  schemas: [{ ...document, $id: 'openapi' }],
});
/** A schema of the document, with its references into the document's components. */
const compile = (schema: object) =>
  ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')));

const mediaOf = ({ requestBody, responses }: Operation): Media[] =>
  [requestBody?.content ?? {}, ...Object.values(responses).map(({ content = {} }) => content)].flatMap(
    (content) => Object.values(content),
  );
const examplesOf = ({ schema, example, examples }: Media): unknown[] => [
  ...(example === undefined ? [] : [example]),
  ...Object.values(examples ?? {}).map(({ value }) => value),
  ...((schema?.examples as unknown[] | undefined) ?? []),
];

t.test('it is an OpenAPI 3.1 document', async (t) => {
  t.equal(document.openapi, '3.1.0');
  t.match(document.info, { title: 'Rollcall', version: String });
  t.match(document.components.securitySchemes, { key: { type: 'http', scheme: 'bearer' } });
  t.ok(document.components.schemas.Problem);
});

t.test('it has every route, and no other', async (t) => {
  const described = operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`).sort();
  const routes = Object.keys(PERMISSIONS).map((route) => route.replace(/:(\w+)/g, '{$1}'));
  t.same(described, [...routes, 'GET /healthz', 'GET /metrics', 'GET /readyz'].sort());
  t.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
});

for (const { path, method, operation } of operations)
  t.test(`${method} ${path}`, async (t) => {
    t.match(operation.summary, /^.{5,}/, 'a summary');
    t.ok(operation.tags.length === 1, 'a tag');
    t.match(operation.description, path.startsWith('/v1/') ? /Roles: `administrator`/ : /No key/);
    t.equal(operation.security !== undefined, path.startsWith('/v1/'));
    t.ok(operation.responses.default?.content?.['application/problem+json'], 'what an error looks like');
    for (const { description } of Object.values(operation.responses)) {
      t.match(description, /./);
      t.not(description, 'Default Response');
    }
    t.ok(Object.keys(operation.responses).some((status) => status.startsWith('2')));
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = (operation.parameters ?? [])
      .filter((each) => each.in === 'path')
      .map(({ name }) => name);
    t.same(declared, named, 'path parameters');
    for (const parameter of operation.parameters ?? []) compile(parameter.schema);

    let examples = 0;
    for (const media of mediaOf(operation)) {
      const validate = compile(media.schema ?? {});
      for (const example of examplesOf(media)) {
        examples += 1;
        t.ok(validate(example), `the example is valid: ${ajv.errorsText(validate.errors)}`);
      }
    }
    t.ok(examples > 0, 'an example');
  });

t.test('what is easily forgotten', async (t) => {
  const { paths } = document;
  const form = paths['/v1/imports/{kind}'].post.requestBody.content['multipart/form-data'] as Media;
  t.match(examplesOf(form), [{ file: /^student_id,/ }]);
  const ready = paths['/readyz'].get.responses[200].content['application/json'] as Media;
  t.same(examplesOf(ready), [{ ready: true, parts: ['database', 'dialer'] }]);
  t.equal(paths['/metrics'].get.responses[200].description, 'Prometheus text format', "a route's own words");
  t.notMatch(JSON.stringify(document), /x-response-description/);
});

t.test('the page is served without anything from elsewhere', async (t) => {
  const { status, text } = await call(api, '/docs', { as: null });
  t.equal(status, 200);
  t.notMatch(text, /(src|href)="https?:/);
  const { text: script } = await call(api, '/docs/static/swagger-initializer.js', { as: null });
  t.match(script, /"layout":\s*"BaseLayout"/, "without a top bar, and so without another project's logo");
  t.equal((await call(api, '/docs/static/swagger-ui-bundle.js', { as: null })).status, 200);
});
