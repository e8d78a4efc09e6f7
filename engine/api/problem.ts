import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type ErrorCode, RollcallError } from '../errors.ts';
import { isTransient } from '../store/db.ts';
import type { Rejection } from '../store/imports.ts';
import type { Api } from './deps.ts';
import { sizeOf } from './limit-bytes.ts';

/** RFC 9457. `code` is stable and may be matched; `detail` is for people. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    instance: z.string().describe("The request's id, as in the log"),
    errors: z.array(z.object({ field: z.string(), reason: z.string() })).optional(),
  })
  .meta({
    id: 'Problem',
    examples: [
      {
        type: 'urn:rollcall:error:INPUT_INVALID',
        title: 'Input invalid',
        status: 400,
        detail: 'the request is not valid; see errors',
        code: 'INPUT_INVALID',
        instance: '0b0e7f3a-6a3e-4c43-9d5e-1a4c5c1b3f10',
        errors: [{ field: 'title', reason: 'must not be empty' }],
      },
    ],
  });
export type Problem = z.infer<typeof problemSchema>;
export type FieldError = { field: string; reason: string };

/** An error with one entry per field, for what only the store or a parser can tell. */
export function fieldErrors(code: ErrorCode, message: string, fields: FieldError[]): RollcallError {
  return new RollcallError(code, message, { details: { fields } });
}

type Answer = Pick<Problem, 'status' | 'detail' | 'errors'> & { code: ErrorCode };

const RETRY_AFTER_SECONDS = 5;

/** Answers every failure, expected or not, as problem+json. */
export function answerErrors(app: Api): void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ method, url }) => {
    methodsOf.set(url, new Set([...(methodsOf.get(url) ?? []), ...[method].flat()]));
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.raw.url?.split('?')[0] ?? '';
    const allowed = [...methodsOf]
      .filter(([pattern]) => matches(pattern, path))
      .flatMap(([, methods]) => [...methods])
      .join(', ');
    if (allowed === '')
      return send(request, reply, { status: 404, code: 'NOT_FOUND', detail: 'there is no such resource' });
    reply.header('allow', allowed);
    return send(request, reply, {
      status: 405,
      code: 'METHOD_NOT_ALLOWED',
      detail: `this resource takes ${allowed}`,
    });
  });
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const answer = answerTo(error, request);
    // What is not ready is logged where it is found, once for many probes.
    if (answer.status >= 500 && answer.code !== 'NOT_READY')
      request.log.error({ err: error, code: answer.code }, 'request failed');
    if (answer.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="rollcall"');
    // The rest of the body is on its way, and nobody will read it.
    if (answer.status === 413) reply.header('connection', 'close');
    if (answer.status === 503 || answer.status === 429) reply.header('retry-after', RETRY_AFTER_SECONDS);
    return send(request, reply, answer);
  });
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  return (
    wanted.length === given.length && wanted.every((part, i) => part.startsWith(':') || part === given[i])
  );
}

/** Text that PostgreSQL cannot hold: a NUL, or half of a surrogate pair. */
const UNSTORABLE_TEXT = new Set(['22021', '22P05']);

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  404: 'NOT_FOUND',
  406: 'MEDIA_TYPE_UNSUPPORTED',
  413: 'BODY_TOO_LARGE',
  415: 'MEDIA_TYPE_UNSUPPORTED',
};
const STATUS_OF: Partial<Record<ErrorCode, number>> = { MEDIA_TYPE_UNSUPPORTED: 415 };

function answerTo(error: FastifyError, request: FastifyRequest): Answer {
  if (error instanceof RollcallError) {
    const { code, status, message, details } = error;
    // Its text may hold what only the log should: paths, statements.
    if (code === 'INTERNAL') return unexpected();
    const errors = details.fields ?? rejectionsOf(details.rejections);
    return { status, code, detail: message, ...(Array.isArray(errors) && { errors }) };
  }
  if (error.validation !== undefined)
    return {
      status: 400,
      code: 'INPUT_INVALID',
      detail: 'the request is not valid; see errors',
      errors: error.validation.flatMap((issue) => entriesOf(issue, error.validationContext ?? 'body')),
    };
  if (isTransient(error))
    return {
      status: 503,
      code: 'STORE_UNAVAILABLE',
      detail: 'the database cannot be reached; send the same request again in a moment',
    };
  if (UNSTORABLE_TEXT.has(error.code))
    return {
      status: 400,
      code: 'INPUT_INVALID',
      detail: 'the request has text with a character that cannot be stored',
    };
  const status = error.statusCode ?? 500;
  if (status >= 500 || status < 400) return unexpected();
  const code = BY_STATUS[status] ?? 'INPUT_INVALID';
  return { status: STATUS_OF[code] ?? status, code, detail: refusal(error, code, request) };
}

const BODY_TYPES = ['application/json', 'text/csv', 'multipart/form-data'];

/** Fastify's refusal of a body, with what would be accepted. */
function refusal(error: FastifyError, code: ErrorCode, { routeOptions, server }: FastifyRequest): string {
  if (code === 'BODY_TOO_LARGE' && routeOptions.bodyLimit !== undefined)
    return `the body may have at most ${sizeOf(routeOptions.bodyLimit)}`;
  if (code === 'MEDIA_TYPE_UNSUPPORTED' && error.statusCode === 415)
    return `send the body as ${BODY_TYPES.filter((type) => server.hasContentTypeParser(type)).join(' or ')}`;
  return error.message;
}

function rejectionsOf(rejections: unknown): FieldError[] | undefined {
  if (!Array.isArray(rejections)) return undefined;
  return (rejections as Rejection[]).map(({ line, column, reason }) => ({
    field: column === null ? `line ${line}` : `line ${line}, ${column}`,
    reason,
  }));
}

const unexpected = (): Answer => ({
  status: 500,
  code: 'INTERNAL',
  detail: 'something unexpected happened; the log has it under this instance',
});

type Issue = NonNullable<FastifyError['validation']>[number];

function entriesOf({ instancePath, message, params }: Issue, context: string): FieldError[] {
  const path = instancePath.split('/').filter((part) => part !== '');
  const unknown = Array.isArray(params.keys) ? params.keys.map(String) : [];
  if (unknown.length > 0)
    return unknown.map((key) => ({
      field: [...path, key].join('.'),
      reason: 'is not a field of this request',
    }));
  return [{ field: path.join('.') || context, reason: message ?? 'is not valid' }];
}

function send(request: FastifyRequest, reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, code, detail, errors } = answer;
  const words = code.toLowerCase().replaceAll('_', ' ');
  const problem: Problem = {
    type: `urn:rollcall:error:${code}`,
    title: words.charAt(0).toUpperCase() + words.slice(1),
    status,
    detail,
    code,
    instance: request.id,
    ...(errors && { errors }),
  };
  // Already text, so that no route's own response schema is applied to it.
  return reply
    .code(status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem));
}

/** Answers a request that is not HTTP, or is too slow, before there is a request to answer. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  const body = JSON.stringify({
    type: 'urn:rollcall:error:INPUT_INVALID',
    title: 'Input invalid',
    status,
    detail: 'this is not a complete HTTP request',
    code: 'INPUT_INVALID',
  });
  socket.end(
    `HTTP/1.1 ${status} Bad Request\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
