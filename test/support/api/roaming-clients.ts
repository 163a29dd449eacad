import { api, type ApiClient, type ApiResponse, form, type Replica } from '@yuxi/testing';
import { setTimeout as pause } from 'node:timers/promises';

type Call<T> = (client: ApiClient) => Promise<ApiResponse<T>>;

/** Timeout of a request. */
const REQUEST_TIMEOUT_MS = 8000;

/** The replicas that a test has killed or suspended, and when. Only their connections may break. */
class Faulted {
  readonly #now = new Set<Replica>();
  readonly #ended = new Map<Replica, number>();

  async during<T>(replicas: readonly Replica[], work: () => Promise<T>): Promise<T> {
    for (const replica of replicas) this.#now.add(replica);
    try {
      return await work();
    } finally {
      for (const replica of replicas) {
        this.#now.delete(replica);
        this.#ended.set(replica, performance.now());
      }
    }
  }

  since(replica: Replica, from: number): boolean {
    return this.#now.has(replica) || (this.#ended.get(replica) ?? -1) >= from;
  }
}

export interface Upload {
  fileId: string;
  filename: string;
}

/**
 * Clients that upload a file, index it, read and search, until they are stopped. When a replica is unavailable or answers 503, a client
 * sends the request to the next replica after a pause, until it succeeds.
 */
export class RoamingClients {
  readonly faulted = new Faulted();
  /** Answers and broken connections that must not occur. */
  readonly violations: string[] = [];
  /** All files that were accepted for indexing. */
  readonly uploads: Upload[] = [];
  answers = 0;
  /** Number of answers 503 with `Retry-After`. */
  unavailable = 0;
  readonly #apis: ApiClient[];
  #loops: Promise<void>[] = [];
  #stopped = true;
  #files = 0;

  constructor(
    private readonly replicas: readonly Replica[],
    private readonly token: string,
    private readonly dbId: string,
  ) {
    this.#apis = replicas.map(({ baseUrl }) => api(baseUrl));
  }

  /** May be called again after {@link stop}. */
  start(count: number): void {
    this.#stopped = false;
    this.#loops = Array.from({ length: count }, (_, i) => this.#loop(i));
  }

  /** Resolves when each client has finished its file. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(number: number): Promise<void> {
    const { token, dbId } = this;
    const base = `/api/knowledge/databases/${dbId}`;
    let at = number;
    const call = async <T>(what: string, send: Call<T>): Promise<ApiResponse<T>> => {
      for (;;) {
        const index = at % this.replicas.length;
        const answer = await this.#send(what, index, send);
        if (answer && answer.status < 500) return answer;
        at++;
        // Less than Retry-After (a second), because the next replica may be available at once.
        await pause(200);
      }
    };
    while (!this.#stopped) {
      const n = ++this.#files;
      const filename = `client-${number}-${n}.txt`;
      const fileId = await this.#upload(filename, `Swallow ${n} of client ${number} flies south in autumn.`, call);
      if (fileId === undefined) continue;
      await call('index', (client) =>
        client.post(`${base}/documents/index`, { json: { file_ids: [fileId] }, token, timeout: REQUEST_TIMEOUT_MS }),
      );
      this.uploads.push({ fileId, filename });
      await call('read', (client) => client.get(base, { token, timeout: REQUEST_TIMEOUT_MS }));
      const json = { query: 'swallow' };
      await call('search', (client) => client.post(`${base}/query`, { json, token, timeout: REQUEST_TIMEOUT_MS }));
    }
  }

  async #upload(filename: string, content: string, call: <T>(what: string, send: Call<T>) => Promise<ApiResponse<T>>) {
    const { status, body } = await call<{ file_id?: string; details?: { file_id?: string } }>('upload', (client) =>
      client.post(`/api/knowledge/files/upload?db_id=${this.dbId}`, {
        multipart: form(filename, content),
        token: this.token,
        timeout: REQUEST_TIMEOUT_MS,
      }),
    );
    // The first request had succeeded, but its answer was lost.
    const fileId = status === 409 ? body.details?.file_id : body.file_id;
    if (fileId === undefined) this.violations.push(`upload of ${filename}: ${status} ${JSON.stringify(body)}`);
    return fileId;
  }

  /** @returns the answer; undefined when the connection broke */
  async #send<T>(what: string, index: number, send: Call<T>): Promise<ApiResponse<T> | undefined> {
    const from = performance.now();
    const replica = this.replicas[index]!;
    try {
      const answer = await send(this.#apis[index]!);
      this.answers++;
      const { status, headers, body } = answer;
      if (status === 503 && headers.get('retry-after')) this.unavailable++;
      else if (status >= 400 && status !== 409)
        this.violations.push(`${what} at replica ${index}: ${status} ${JSON.stringify(body)}`);
      return answer;
    } catch (error) {
      if (!this.faulted.since(replica, from)) {
        const { message, cause } = error as Error;
        this.violations.push(`${what} at replica ${index}: ${message} ${cause instanceof Error ? cause.message : ''}`);
      }
      return undefined;
    }
  }
}
