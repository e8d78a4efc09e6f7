import type { FastifyRequest } from 'fastify';
import { RollcallError } from '../errors.ts';
import { type ApiKey, useKey } from '../store/keys.ts';
import type { Api, ApiDeps } from './deps.ts';
import { isPublic, rolesFor } from './permissions.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null on public routes. */
    apiKey: ApiKey | null;
  }
}

const BEARER = /^Bearer +(rc_[A-Za-z0-9_-]{43})$/i;

/** Asks every request for a key whose role may use the route, before its body is read. */
export function authenticate(app: Api, { db }: Pick<ApiDeps, 'db'>): void {
  app.decorateRequest('apiKey', null);
  // A route that nobody thought about is found at start, not by an attacker.
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat())
      if (!isPublic(url) && rolesFor(each, url) === undefined)
        throw new RollcallError('INTERNAL', `${each} ${url} is missing in engine/api/permissions.ts`);
  });
  app.addHook('onRequest', async (request) => {
    const pattern = request.routeOptions.url;
    // Without a pattern no route was found; the answer to that tells nothing.
    if (pattern === undefined || isPublic(pattern)) return;
    const secret = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (secret === undefined)
      throw new RollcallError('UNAUTHENTICATED', 'send an API key: Authorization: Bearer rc_…');
    const key = await useKey(db, secret);
    if (key === undefined) throw new RollcallError('UNAUTHENTICATED', 'this API key is unknown or revoked');
    request.apiKey = key;
    const roles = rolesFor(request.method, pattern) ?? [];
    if (!roles.includes(key.role))
      throw new RollcallError(
        'FORBIDDEN',
        `a key with the role ${key.role} may not do this; it takes ${roles.join(' or ')}`,
        { details: { role: key.role, roles } },
      );
  });
}

/** Who asks, on a route that takes a key. */
export function keyOf(request: FastifyRequest): ApiKey {
  if (request.apiKey === null)
    throw new RollcallError('UNAUTHENTICATED', 'send an API key: Authorization: Bearer rc_…');
  return request.apiKey;
}
