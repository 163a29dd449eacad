/** A request without its path; at most one of `json`, `form` and `multipart`. */
export interface ApiRequest {
  json?: unknown;
  /** Sent as `application/x-www-form-urlencoded`. */
  form?: Record<string, string>;
  multipart?: FormData;
  /** Sent as `Authorization: Bearer <token>`. */
  token?: string;
  headers?: Record<string, string>;
  /** Timeout, milliseconds; default 30000. */
  timeout?: number;
}

/** A response. */
export interface ApiResponse<T> {
  status: number;
  headers: Headers;
  /** The parsed value of JSON, else the text. */
  body: T;
}

/** A client of one API. It rejects for a broken connection only, not for a 4xx or 5xx. */
export interface ApiClient {
  get<T = Record<string, never>>(path: string, request?: ApiRequest): Promise<ApiResponse<T>>;
  post<T = Record<string, never>>(path: string, request?: ApiRequest): Promise<ApiResponse<T>>;
  put<T = Record<string, never>>(path: string, request?: ApiRequest): Promise<ApiResponse<T>>;
  patch<T = Record<string, never>>(path: string, request?: ApiRequest): Promise<ApiResponse<T>>;
  del<T = Record<string, never>>(path: string, request?: ApiRequest): Promise<ApiResponse<T>>;
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'del';

function encode(options: ApiRequest): { body?: string | URLSearchParams | FormData; type?: string } {
  if (options.json !== undefined) return { body: JSON.stringify(options.json), type: 'application/json' };
  if (options.form) return { body: new URLSearchParams(options.form) };
  return options.multipart ? { body: options.multipart } : {};
}

async function parse(response: Response): Promise<unknown> {
  const text = await response.text();
  if (!response.headers.get('content-type')?.includes('json')) return text;
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

async function call(url: string, method: string, options: ApiRequest): Promise<ApiResponse<unknown>> {
  const { body, type } = encode(options);
  const headers = new Headers(options.headers);
  if (type && !headers.has('content-type')) headers.set('content-type', type);
  if (options.token) headers.set('authorization', `Bearer ${options.token}`);
  const signal = AbortSignal.timeout(options.timeout ?? 30_000);
  const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' });
  return { status: response.status, headers: response.headers, body: await parse(response) };
}

/** A client of the API at `baseUrl`. Paths start with a slash, for example `/api/auth/me`. */
export function api(baseUrl: string): ApiClient {
  const bind =
    (verb: Method) =>
    (path: string, options: ApiRequest = {}) =>
      call(`${baseUrl}${path}`, verb === 'del' ? 'DELETE' : verb.toUpperCase(), options);
  return {
    get: bind('get'),
    post: bind('post'),
    put: bind('put'),
    patch: bind('patch'),
    del: bind('del'),
  } as ApiClient;
}

/** The administrator that {@link firstRun} creates. */
export const FIRST_ADMINISTRATOR = { user_id: 'root_admin', password: 'correct horse battery' } as const;

/**
 * Creates the first administrator of an empty installation and returns an access token.
 * @throws Error with the response when the API refuses, for example because an administrator exists
 */
export async function firstRun(baseUrl: string): Promise<string> {
  const { status, body } = await api(baseUrl).post<{ access_token?: string }>('/api/auth/initialize', {
    json: FIRST_ADMINISTRATOR,
  });
  if (status >= 300 || !body.access_token) {
    throw new Error(`POST ${baseUrl}/api/auth/initialize answered ${status}: ${JSON.stringify(body)}`);
  }
  return body.access_token;
}
