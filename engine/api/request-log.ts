import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import type { Log } from '../log.ts';
import type { Api } from './deps.ts';

const PROBES = new Set(['/healthz', '/readyz', '/metrics']);

/** One line per request. The route's pattern, not the URL: a URL may carry a number or a name. */
export function logRequests(app: Api): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? '(none)';
    // Every few seconds, by machines: of no interest while all is well, and /readyz itself says when it is not.
    const expected = reply.statusCode < 400 || (route === '/readyz' && reply.statusCode === 503);
    const level = PROBES.has(route) && expected ? 'debug' : 'info';
    request.log[level](
      {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        ...(request.apiKey && { key: request.apiKey.id }),
      },
      'request',
    );
  });
  // A client that went away gets no response, and its request would leave no line.
  app.addHook('onRequestAbort', async (request) => {
    request.log.info(
      { method: request.method, route: request.routeOptions.url ?? '(none)' },
      'request aborted',
    );
  });
}

/** A child of `log` that prints neither headers nor URLs. */
export function apiLog(log: Log): FastifyBaseLogger {
  return log.child(
    { part: 'api' },
    {
      serializers: {
        req: (request: FastifyRequest) => ({ id: request.id, method: request.method }),
        res: (reply: { statusCode?: number }) => ({ status: reply.statusCode }),
      },
    },
  );
}
