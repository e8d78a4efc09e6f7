import type { Role } from '../domain/terms.ts';

const ADMINISTRATOR = ['administrator'] as const;
const SENDERS = ['administrator', 'sender'] as const;
const READERS = ['administrator', 'sender', 'clerk'] as const;
const OPERATORS = ['administrator', 'operator'] as const;
const EVERYBODY = ['administrator', 'sender', 'clerk', 'operator'] as const;

/**
 * Which roles may do what. A route under /v1 that is missing here cannot be registered. The district and
 * its sites are open to every role: they hold the schools' own names and numbers, nobody's personal data.
 */
export const PERMISSIONS: Readonly<Record<string, readonly Role[]>> = {
  'GET /v1/district': EVERYBODY,
  'PUT /v1/district': ADMINISTRATOR,
  'GET /v1/sites': EVERYBODY,
  'PUT /v1/sites/:code': ADMINISTRATOR,

  'GET /v1/caller-ids': ADMINISTRATOR,
  'PUT /v1/caller-ids/:phone': ADMINISTRATOR,
  'DELETE /v1/caller-ids/:phone': ADMINISTRATOR,

  'POST /v1/imports/:kind': ADMINISTRATOR,
  'GET /v1/imports': READERS,
  'GET /v1/imports/:id': READERS,

  'GET /v1/trunks': OPERATORS,
  'POST /v1/trunks': ADMINISTRATOR,
  'PATCH /v1/trunks/:id': ADMINISTRATOR,
  'DELETE /v1/trunks/:id': ADMINISTRATOR,
  'POST /v1/trunks/:id/pause': OPERATORS,
  'POST /v1/trunks/:id/drain': OPERATORS,
  'POST /v1/trunks/:id/resume': OPERATORS,

  'GET /v1/nodes': OPERATORS,
  'POST /v1/nodes/:name/drain': OPERATORS,
  'POST /v1/nodes/:name/resume': OPERATORS,

  'GET /v1/schedules': SENDERS,
  'POST /v1/schedules': ADMINISTRATOR,
  'GET /v1/schedules/:id': SENDERS,
  'PATCH /v1/schedules/:id': ADMINISTRATOR,

  'POST /v1/broadcasts': SENDERS,
  'GET /v1/broadcasts': READERS,
  'GET /v1/broadcasts/:id': READERS,
  'POST /v1/broadcasts/:id/run': SENDERS,
  'POST /v1/broadcasts/:id/pause': SENDERS,
  'POST /v1/broadcasts/:id/resume': SENDERS,
  'POST /v1/broadcasts/:id/stop': SENDERS,
  'POST /v1/broadcasts/:id/correct': SENDERS,
  'GET /v1/broadcasts/:id/progress': READERS,
  'GET /v1/broadcasts/:id/events': READERS,
  'GET /v1/broadcasts/:id/forecast': READERS,
  'POST /v1/forecasts': SENDERS,

  'GET /v1/calls': READERS,
  'GET /v1/calls/:id': READERS,
  'GET /v1/reports/message-tracking': READERS,
  'GET /v1/reports/message-tracking.csv': READERS,
  'GET /v1/prompts/:hash': READERS,

  'GET /v1/keys': ADMINISTRATOR,
  'POST /v1/keys': ADMINISTRATOR,
  'DELETE /v1/keys/:id': ADMINISTRATOR,
};

/** Reachable without a key: for load balancers and Prometheus, and the description of the API itself. */
export function isPublic(pattern: string): boolean {
  return ['/healthz', '/readyz', '/metrics'].includes(pattern) || /^\/docs(\/|$)/.test(pattern);
}

/** The roles that may use a route; undefined for one that the table does not know. */
export function rolesFor(method: string, pattern: string): readonly Role[] | undefined {
  return PERMISSIONS[`${method} ${pattern}`];
}
