import { randomUUID } from 'node:crypto';
import fastify, { LogController } from 'fastify';
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { authenticate } from './authentication.ts';
import type { Api, ApiDeps } from './deps.ts';
import { describeApi } from './documentation.ts';
import { answerClientError, answerErrors } from './problem.ts';
import { apiLog, logRequests } from './request-log.ts';
import { broadcastActionRoutes } from './routes/broadcast-actions.ts';
import { broadcastProgressRoutes } from './routes/broadcast-progress.ts';
import { broadcastRoutes } from './routes/broadcasts.ts';
import { callRoutes } from './routes/calls.ts';
import { districtRoutes } from './routes/district.ts';
import { healthRoutes } from './routes/health.ts';
import { importRoutes } from './routes/imports.ts';
import { keyRoutes } from './routes/keys.ts';
import { promptRoutes } from './routes/prompts.ts';
import { reportRoutes } from './routes/reports.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { trunkRoutes } from './routes/trunks.ts';
import { validatorCompiler } from './validation.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;
// Node's own limit for a whole request is 5 minutes; a large import over a school's line may take longer.
const REQUEST_TIMEOUT_MS = 30 * 60_000;
// Fastify's 72 s would also be how long a shutdown may wait for a connection that falls idle during it.
const KEEP_ALIVE_MS = 5_000;

/**
 * The REST API, ready to listen or to be injected into. The caller closes it; that ends event streams and
 * waits for the requests under way.
 */
export async function createApi(deps: ApiDeps): Promise<Api> {
  const app: Api = fastify({
    loggerInstance: apiLog(deps.log),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: () => randomUUID(),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => app.errorHandler(error, request, reply),
    // A HEAD would run the GET's handler, and so an event stream or a report, to throw it away.
    exposeHeadRoutes: false,
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser('text/plain');

  answerErrors(app);
  logRequests(app);
  authenticate(app, deps);
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    reply.header('x-frame-options', 'DENY');
    reply.header('referrer-policy', 'no-referrer');
    // Numbers and names stay out of every cache on the way.
    if (request.routeOptions.url?.startsWith('/v1/')) reply.header('cache-control', 'no-store');
  });
  closeConnectionsAtShutdown(app);
  await describeApi(app);

  districtRoutes(app, deps);
  await app.register(async (scope) => importRoutes(scope.withTypeProvider<ZodTypeProvider>(), deps));
  trunkRoutes(app, deps);
  scheduleRoutes(app, deps);
  broadcastRoutes(app, deps);
  broadcastActionRoutes(app, deps);
  broadcastProgressRoutes(app, deps);
  callRoutes(app, deps);
  reportRoutes(app, deps);
  promptRoutes(app, deps);
  keyRoutes(app, deps);
  healthRoutes(app, deps);
  await app.ready();
  return app;
}

/** A connection whose request ends during the shutdown is closed, not kept alive for another one. */
function closeConnectionsAtShutdown(app: Api): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onResponse', async (request) => {
    if (closing) request.raw.socket.end();
  });
}
