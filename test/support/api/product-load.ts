import { type ApiClient, type ApiResponse, FIRST_ADMINISTRATOR, form } from '@yuxi/testing';
import { Load } from './load.js';

export interface ProductLoadOptions {
  token: string;
  /** Knowledge base for all requests. */
  dbId: string;
  /** Timeout of a request, milliseconds; default 30000. */
  timeout?: number;
  /** Prefix of the file names, also used in the texts; default `swallow`. */
  name?: string;
}

type Answer = Promise<ApiResponse<object>>;

/** What users do, at each of several replicas: log in, search, list their tasks, upload a file and index it. */
export class ProductLoad extends Load {
  /** Ids of the tasks for all accepted files. */
  readonly tasks: string[] = [];
  /** Number of uploads. */
  files = 0;

  constructor(
    clients: readonly ApiClient[],
    private readonly options: ProductLoadOptions,
  ) {
    super();
    for (const [index, client] of clients.entries()) this.#run(client, String(index));
  }

  #run(client: ApiClient, lane: string): void {
    const { token, dbId, timeout } = this.options;
    const { user_id: username, password } = FIRST_ADMINISTRATOR;
    const base = `/api/knowledge/databases/${dbId}`;
    const login = () => client.post('/api/auth/token', { json: { username, password }, timeout });
    this.run(`login ${lane}`, 200, login);
    this.run(`search ${lane}`, 50, () => client.post(`${base}/query`, { json: { query: 'swallow' }, token, timeout }));
    this.run(`index ${lane}`, 100, () => this.#index(client));
    this.run(`tasks ${lane}`, 100, () => client.get('/api/tasks', { token, timeout }));
  }

  async #index(client: ApiClient): Answer {
    const { token, dbId, timeout, name = 'swallow' } = this.options;
    const n = ++this.files;
    const upload = await client.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
      multipart: form(`${name}-${n}.txt`, `This is ${name} number ${n}: it flies south in autumn.`),
      token,
      timeout,
    });
    if (upload.status >= 300) return upload;
    const answer = await client.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents/index`, {
      json: { file_ids: [upload.body.file_id] },
      token,
      timeout,
    });
    if (answer.status < 300) this.tasks.push(answer.body.task_id);
    return answer;
  }
}
