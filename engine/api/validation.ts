import type { FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';

/** Checks with zod, as fastify-type-provider-zod's own compiler does, in words that fit after a field's name. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const result = schema.safeParse(data, { error: wording });
    if (result.success) return { value: result.data };
    return {
      error: result.error.issues.map(({ path, code, message, ...params }) => ({
        keyword: code,
        instancePath: `/${path.join('/')}`,
        schemaPath: `#/${path.join('/')}/${code}`,
        message,
        params,
      })),
    };
  };

/** A schema's own message comes before these; undefined leaves zod's. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_union' && typeof issue.discriminator === 'string') {
    const given = (issue.input as Record<string, unknown>)[issue.discriminator];
    return given === undefined ? MISSING : oneOf(issue.options);
  }
  if (issue.code !== 'invalid_type' && issue.code !== 'invalid_value') return undefined;
  if (issue.input === undefined) return MISSING;
  return issue.code === 'invalid_value' ? oneOf(issue.values) : undefined;
}

const MISSING = 'is missing';

function oneOf(values: unknown): string | undefined {
  if (!Array.isArray(values)) return undefined;
  return `must be ${values.length > 1 ? 'one of: ' : ''}${values.join(', ')}`;
}
