export interface ApiClient {
  /** JSON in, JSON out. Throws an Error with the problem's detail for a status of 400 and above. */
  request<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
  /** Sends a CSV file to `/v1/imports/<kind>`, as a user would. */
  upload<T>(kind: string, fileName: string, csv: string): Promise<T>;
  text(path: string): Promise<string>;
}

/** A client of Rollcall's REST API for scripts on this machine. */
export function createApiClient(url: string, key: string): ApiClient {
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    const headers = { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) };
    const response = await fetch(`${url}${path}`, { ...init, headers });
    if (response.ok) return response;
    throw new Error(`${init.method ?? 'GET'} ${path}: ${response.status} ${await response.text()}`);
  };
  return {
    async request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
      const json = body === undefined ? {} : { body: JSON.stringify(body) };
      const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
      const response = await send(path, { method, ...json, headers: { ...type, ...headers } });
      return (response.status === 204 ? undefined : await response.json()) as T;
    },
    async upload<T>(kind: string, fileName: string, csv: string) {
      const form = new FormData();
      form.set('file', new Blob([csv], { type: 'text/csv' }), fileName);
      return (await (await send(`/v1/imports/${kind}`, { method: 'POST', body: form })).json()) as T;
    },
    text: async (path) => (await send(path, {})).text(),
  };
}
