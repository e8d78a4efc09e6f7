import { type Dispatcher, Pool } from 'undici';
import { RollcallError } from '../errors.ts';

export interface AriHttp {
  /**
   * Sends one request below `/ari`. Returns the parsed body, or undefined when there is none.
   *
   * Throws ARI_UNAVAILABLE when no answer came: the request may or may not have had its effect. Throws
   * ARI_REFUSED for an answer of 400 and above, with `details.status`.
   */
  request(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    options?: RequestOptions,
  ): Promise<unknown>;
  close(): Promise<void>;
}

export interface RequestOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** These are expected: resolved as undefined, not thrown. */
  tolerate?: readonly number[];
}

/** Asterisk closes an idle connection after 15 s: ours must be given up first, or a request meets a closed one. */
const KEEP_ALIVE_MS = 10_000;
/** Asterisk serves each connection by a thread of its own; more than this gains nothing on a loaded node. */
const CONNECTIONS = 12;
const ANSWER_TIMEOUT_MS = 10_000;

/** Opens a pool of connections to `url` (Asterisk's HTTP server, without `/ari`). */
export function openAriHttp({
  url,
  user,
  password,
}: {
  url: string;
  user: string;
  password: string;
}): AriHttp {
  const base = new URL(url);
  const prefix = `${base.pathname.replace(/\/$/, '')}/ari`;
  const pool = new Pool(base.origin, {
    connections: CONNECTIONS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    connectTimeout: 3_000,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  });
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

  return {
    async request(method, path, { query = {}, body, tolerate = [] } = {}) {
      const search = new URLSearchParams();
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) search.set(name, String(value));
      const headers: Record<string, string> = { authorization };
      if (body !== undefined) headers['content-type'] = 'application/json';
      const suffix = search.size > 0 ? `?${search}` : '';
      const { statusCode, text } = await dispatch(pool, {
        method,
        path: `${prefix}${path}${suffix}`,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
      }).catch((cause: unknown) => {
        throw new RollcallError('ARI_UNAVAILABLE', `Asterisk did not answer ${method} ${path}`, { cause });
      });
      if (statusCode < 400) return text === '' ? undefined : JSON.parse(text);
      if (tolerate.includes(statusCode)) return undefined;
      throw new RollcallError(
        'ARI_REFUSED',
        `Asterisk answered ${statusCode} to ${method} ${path}: ${text}`,
        {
          details: { status: statusCode },
        },
      );
    },
    close: () => pool.close(),
  };
}

/**
 * Sends a request and gathers its answer. undici's own `request` makes a stream of each body, which for three
 * requests a call was a tenth of the engine's work.
 */
function dispatch(
  pool: Pool,
  request: Dispatcher.DispatchOptions,
): Promise<{ statusCode: number; text: string }> {
  return new Promise((resolve, reject) => {
    let status = 0;
    const chunks: Buffer[] = [];
    pool.dispatch(request, {
      onRequestStart: () => undefined,
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        chunks.push(chunk);
      },
      onResponseEnd: () => resolve({ statusCode: status, text: Buffer.concat(chunks).toString() }),
      onResponseError: (_controller, error) => reject(error),
    });
  });
}
