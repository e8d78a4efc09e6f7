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
import { callerIdRoutes } from './routes/caller-ids.ts';
import { callRoutes } from './routes/calls.ts';
import { correctionRoutes } from './routes/corrections.ts';
import { districtRoutes } from './routes/district.ts';
import { forecastRoutes } from './routes/forecasts.ts';
import { healthRoutes } from './routes/health.ts';
import { importRoutes } from './routes/imports.ts';
import { keyRoutes } from './routes/keys.ts';
import { nodeRoutes } from './routes/nodes.ts';
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
  const app = server(deps);
  authenticate(app, deps);
  await describeApi(app);

  districtRoutes(app, deps);
  await app.register(async (scope) => importRoutes(scope.withTypeProvider<ZodTypeProvider>(), deps));
  callerIdRoutes(app, deps);
  trunkRoutes(app, deps);
  nodeRoutes(app, deps);
  scheduleRoutes(app, deps);
  broadcastRoutes(app, deps);
  broadcastActionRoutes(app, deps);
  correctionRoutes(app, deps);
  broadcastProgressRoutes(app, deps);
  forecastRoutes(app, deps);
  callRoutes(app, deps);
  reportRoutes(app, deps);
  promptRoutes(app, deps);
  keyRoutes(app, deps);
  healthRoutes(app, deps);
  await app.ready();
  return app;
}

/** What a process without the API's role serves as well: is it alive, is it ready, and its metrics. */
export async function createHealthApi(deps: Pick<ApiDeps, 'log' | 'registry' | 'readiness'>): Promise<Api> {
  const app = server(deps);
  healthRoutes(app, deps);
  await app.ready();
  return app;
}

/** A server with what every route has: checked input and output, problems as RFC 9457, safe headers, a log. */
function server({ log }: Pick<ApiDeps, 'log'>): Api {
  const app: Api = fastify({
    loggerInstance: apiLog(log),
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
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    reply.header('x-frame-options', 'DENY');
    reply.header('referrer-policy', 'no-referrer');
    // Numbers and names stay out of every cache on the way.
    if (request.routeOptions.url?.startsWith('/v1/')) reply.header('cache-control', 'no-store');
  });
  closeConnectionsAtShutdown(app);
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
