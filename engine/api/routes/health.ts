import type { FastifyBaseLogger } from 'fastify';
import { z } from 'zod';
import type { Api, ApiDeps } from '../deps.ts';
import { type FieldError, fieldErrors } from '../problem.ts';

const tags = ['Operation'];

export function healthRoutes(
  app: Api,
  { readiness, registry }: Pick<ApiDeps, 'readiness' | 'registry'>,
): void {
  const logReadiness = readinessLog(app.log);
  app.get(
    '/healthz',
    {
      schema: {
        tags,
        summary: 'Is the process alive?',
        response: { 200: z.object({ alive: z.literal(true) }).meta({ examples: [{ alive: true }] }) },
      },
    },
    async () => ({ alive: true as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        tags,
        summary: 'Can it do its work?',
        description: 'Otherwise 503, with one entry in `errors` for each part that is not ready.',
        response: {
          200: z
            .object({ ready: z.literal(true), parts: z.array(z.string()) })
            .meta({ examples: [{ ready: true, parts: ['database', 'dialer'] }] }),
        },
      },
    },
    async () => {
      const parts = Object.entries(await readiness());
      const broken = parts.flatMap(([field, reason]) => (reason === true ? [] : [{ field, reason }]));
      logReadiness(broken);
      if (broken.length > 0)
        throw fieldErrors('NOT_READY', `not ready: ${broken.map(({ field }) => field).join(', ')}`, broken);
      return { ready: true as const, parts: parts.map(([part]) => part) };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        tags,
        summary: 'Metrics for Prometheus',
        response: {
          200: {
            description: 'Prometheus text format',
            content: {
              'text/plain': {
                schema: z
                  .string()
                  .meta({ examples: ['rollcall_queue_calls{category="attendance",state="ready"} 12\n'] }),
              },
            },
          },
        },
      },
    },
    async (_request, reply) => {
      const text = await registry.metrics();
      return reply.header('content-type', registry.contentType).send(text);
    },
  );
}

/** Probes come every few seconds; the log has a line when the parts that are not ready become others. */
function readinessLog(log: FastifyBaseLogger): (broken: readonly FieldError[]) => void {
  let known = '';
  return (broken) => {
    const parts = broken.map(({ field }) => field).join(', ');
    if (parts === known) return;
    known = parts;
    if (broken.length > 0) log.warn({ broken }, `not ready: ${parts}`);
    else log.info('ready again');
  };
}
