import {
  api,
  type ApiClient,
  type ApiResponse,
  FIRST_ADMINISTRATOR,
  firstRun,
  form,
  type PostgresServer,
  type Replica,
  startPostgres,
  startReplicas,
} from '@yuxi/testing';
import { Pool } from 'pg';
import { addAccount, type TokenAnswer, USER_PASSWORD } from './accounts.js';

/** The callers, in the order of the columns of a table of rights. */
export const IDENTITIES = [
  'anonymous',
  'owner',
  'colleague',
  'stranger',
  'admin_a',
  'admin_b',
  'superadmin',
  'read_key',
  'ended',
] as const;
export type Identity = (typeof IDENTITIES)[number];

/** A knowledge base of the owner with one document, its first task, one upload, and the ingestion of another. */
export interface Base {
  db_id: string;
  doc_id: string;
  upload: string;
  task_id: string;
  saga_id: string;
}

type TaskStatus = 'pending' | 'success' | 'failed';

/** Two departments, all identities that may send requests to them, and the things they may request. No task runs. */
export class IdentityWorld {
  /** One client for each replica. */
  readonly clients: ApiClient[];
  /** What each identity sends; those of `ended` did count before. */
  readonly tokens = {} as Record<Identity, (string | undefined)[]>;
  readonly ids = {} as Record<'owner' | 'colleague' | 'stranger', number>;
  departmentA = 0;
  departmentB = 0;
  #count = 0;

  private constructor(
    private readonly postgres: PostgresServer,
    private readonly replicas: Replica[],
    private readonly pool: Pool,
  ) {
    this.clients = replicas.map(({ baseUrl }) => api(baseUrl));
  }

  static async start(count = 1): Promise<IdentityWorld> {
    const postgres = await startPostgres();
    const { url } = await postgres.createDatabase();
    const replicas = await startReplicas({ count, databaseUrl: url, env: () => ({ YUXI_WORKER: 'off' }) });
    const world = new IdentityWorld(postgres, replicas, new Pool({ connectionString: url, max: 2 }));
    await world.#populate();
    return world;
  }

  async stop(): Promise<void> {
    await this.pool.end();
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.postgres.stop();
  }

  get client(): ApiClient {
    return this.clients[0]!;
  }

  /** Events of a task as one replica sends them; until `text` resolves the answer is open. */
  async watch(replica: number, taskId: string, token: string): Promise<{ status: number; text: Promise<string> }> {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${this.replicas[replica]!.baseUrl}/api/tasks/${taskId}/events`, { headers });
    return { status: response.status, text: response.text() };
  }

  get superadmin(): string {
    return this.tokens.superadmin[0]!;
  }

  /** @returns another name for each call */
  unique(name: string): string {
    return `${name}_${(this.#count += 1)}`;
  }

  async sql<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, values)).rows;
  }

  async login(who: Identity): Promise<string> {
    const { user_id, password } = FIRST_ADMINISTRATOR;
    const json = who === 'superadmin' ? { username: user_id, password } : { username: who, password: USER_PASSWORD };
    return (await this.#made(this.client.post<TokenAnswer>('/api/auth/token', { json }))).access_token;
  }

  /** @param shared whether the owner's department may read it */
  async base(shared = false): Promise<Base> {
    const token = this.tokens.owner[0]!;
    const share_config = {
      visibility: shared ? 'departments' : 'private',
      departments: shared ? [this.departmentA] : [],
    };
    const json = { database_name: this.unique('base'), share_config };
    const { db_id } = await this.#made(
      this.client.post<{ db_id: string }>('/api/knowledge/databases', { json, token }),
    );
    const [document, upload, ingested] = await Promise.all([
      this.upload(db_id),
      this.upload(db_id),
      this.upload(db_id),
    ]);
    const path = `/api/knowledge/databases/${db_id}`;
    const { task_id } = await this.#made(
      this.client.post<{ task_id: string }>(`${path}/documents`, { json: { items: [document.file_path] }, token }),
    );
    const { saga_id } = await this.#made(
      this.client.post<{ saga_id: string }>(`${path}/ingest`, { json: { file_path: ingested.file_path }, token }),
    );
    return { db_id, doc_id: document.file_id, upload: upload.file_path, task_id, saga_id };
  }

  upload(dbId: string) {
    const request = { multipart: this.file(), token: this.tokens.owner[0]! };
    const path = `/api/knowledge/files/upload?db_id=${dbId}`;
    return this.#made(this.client.post<{ file_id: string; file_path: string }>(path, request));
  }

  file(): FormData {
    return form(`${this.unique('file')}.txt`, `text number ${this.#count}`, 'text/plain');
  }

  /** A task in a state that no worker brings about here. */
  async task(status: TaskStatus, about: { scope?: string; owner?: number } = {}): Promise<string> {
    const id = this.unique('task');
    await this.sql(
      `INSERT INTO tasks (id, name, status, scope, owner_id, completed_at)
       VALUES ($1, 'made', $2, $3, $4, CASE WHEN $2 <> 'pending' THEN now() END)`,
      [id, status, about.scope ?? null, about.owner ?? null],
    );
    return id;
  }

  /** Creates a user of department A. */
  newUser(role = 'user'): Promise<{ id: number; token: string }> {
    return this.#user(this.unique('new'), role, this.departmentA);
  }

  async key(scopes: string[], token: string): Promise<{ id: number; key: string }> {
    const json = { name: this.unique('key'), scopes };
    return this.#made(this.client.post<{ id: number; key: string }>('/api/auth/keys', { json, token }));
  }

  async #populate(): Promise<void> {
    this.tokens.superadmin = [await firstRun(this.replicas[0]!.baseUrl)];
    const json = { login_attempts: 1000 };
    await this.#made(this.client.post('/api/system/config/update', { json, token: this.superadmin }));
    const rows = await this.sql<{ id: number }>(`INSERT INTO departments (name) VALUES ('A'), ('B') RETURNING id`);
    const [a, b] = rows.map(({ id }) => id) as [number, number];
    this.departmentA = a;
    this.departmentB = b;
    const add = async (identity: Identity, role: string, department: number) => {
      const { id, token } = await this.#user(identity, role, department);
      this.tokens[identity] = [token];
      if (identity in { owner: 0, colleague: 0, stranger: 0 }) this.ids[identity as 'owner'] = id;
    };
    await add('owner', 'user', a);
    await add('colleague', 'user', a);
    await add('stranger', 'user', b);
    await add('admin_a', 'admin', a);
    await add('admin_b', 'admin', b);
    this.tokens.anonymous = [undefined];
    this.tokens.read_key = [(await this.key(['read'], this.tokens.owner[0]!)).key];
    this.tokens.ended = await this.#ended();
  }

  /** Tokens of a session after its logout, and of a session and a key whose user was deleted. All were administrators. */
  async #ended(): Promise<string[]> {
    const loggedOut = await this.login('admin_a');
    await this.#made(this.client.post('/api/auth/logout', { json: {}, token: loggedOut }));
    const { id, token } = await this.#user('deleted', 'admin', this.departmentA);
    const { key } = await this.key(['read', 'write'], token);
    await this.#made(this.client.del(`/api/auth/users/${id}`, { token: this.superadmin }));
    return [loggedOut, token, key];
  }

  async #user(name: string, role: string, department: number): Promise<{ id: number; token: string }> {
    const { id, access_token: token } = await addAccount(this.client, this.superadmin, name, {
      role,
      department_id: department,
    });
    return { id, token };
  }

  async #made<T>(answer: Promise<ApiResponse<T>>): Promise<T> {
    const { status, body } = await answer;
    if (status >= 300) throw new Error(`making the world answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }
}
