import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  api,
  type ApiClient,
  type ApiRequest,
  firstRun,
  type PostgresServer,
  type Replica,
  startPostgres,
  startReplicas,
} from '@yuxi/testing';
import { addAccount, USER_PASSWORD } from '../support/api/accounts.js';
import { createKnowledgeBase } from '../support/fleet.js';

function form(filename: string, content: string): FormData {
  const data = new FormData();
  data.set('file', new Blob([content], { type: 'text/plain' }), filename);
  return data;
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
/** The exact list of routes that need no token. Add to it only on purpose. */
const PUBLIC = [
  'get /api/auth/check-first-run',
  'get /api/system/health',
  'get /health/live',
  'get /health/ready',
  'get /health/startup',
  'post /api/auth/initialize',
  'post /api/auth/refresh',
  'post /api/auth/token',
];
const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

interface Operation {
  method: (typeof METHODS)[number];
  path: string;
}
interface User {
  id: number;
  role: string;
}

let postgres: PostgresServer;
let replica: Replica;
let client: ApiClient;
let admin: string;
let operations: Operation[];

beforeAll(async () => {
  postgres = await startPostgres();
  const { url } = await postgres.createDatabase();
  [replica] = (await startReplicas({ count: 1, databaseUrl: url })) as [Replica];
  client = api(replica.baseUrl);
  admin = await firstRun(replica.baseUrl);
  const { body } = await client.get<{ paths: Record<string, object> }>('/api/openapi.json');
  operations = Object.entries(body.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ method, path })),
  );
}, 60_000);

afterAll(async () => {
  await replica?.stop();
  await postgres?.stop();
}, 60_000);

const call = ({ method, path }: Operation, request: ApiRequest = {}) =>
  client[method === 'delete' ? 'del' : method]<Record<string, unknown>>(path, request);

async function addUser(name: string, role = 'user'): Promise<{ id: number; token: string }> {
  const { id, access_token: token } = await addAccount(client, admin, name, { role });
  return { id, token };
}

const filled = (path: string, values: Record<string, string>) =>
  path.replace(/\{(\w+)\}/g, (_all, name: string) => values[name] ?? 'nothing');

describe('P4 a request without a token', () => {
  it('is accepted on the listed routes only', async () => {
    expect(operations.length).toBeGreaterThan(PUBLIC.length);
    const open: string[] = [];
    for (const { method, path } of operations) {
      const answer = await call({ method, path: filled(path, { id: '1' }) });
      if (answer.status !== 401) open.push(`${method} ${path}`);
      else expect(answer).toMatchObject({ body: { ...problem, code: 'UNAUTHORIZED' } });
    }
    expect(open.sort()).toEqual(PUBLIC);
  });

  it.each([
    ['no token', 'Bearer '],
    ['a word', 'Bearer token'],
    ['another scheme', 'Basic cm9vdDpyb290'],
    ['three empty parts', 'Bearer ..'],
  ])('is also one with %s', async (_what, authorization) => {
    const { status } = await client.get('/api/auth/me', { headers: { authorization } });
    expect(status).toBe(401);
  });

  it('finds no route that the OpenAPI document does not name', async () => {
    for (const path of ['/.env', '/.git/config', '/metrics', '/api', '/api/auth/register', '/api-json'])
      expect(await client.get(path)).toMatchObject({ status: 404, body: problem });
  });
});

describe('a user', () => {
  it('P1 can neither change nor read settings', async () => {
    const { token } = await addUser('p1_user');
    const json = { key: 'chunk_size', value: 100 };
    expect(await client.post('/api/system/config', { json, token })).toMatchObject({ status: 403, body: problem });
    expect(await client.post('/api/system/config/update', { json: { chunk_size: 100 }, token })).toMatchObject({
      status: 403,
      body: problem,
    });
    expect(await client.get('/api/system/config', { token })).toMatchObject({ status: 403, body: problem });
    const { body } = await client.get<{ chunk_size: number }>('/api/system/config', { token: admin });
    expect(body.chunk_size).toBe(512);
  });

  it('can neither list nor release locks', async () => {
    const { token } = await addUser('lock_user');
    expect(await client.get('/api/system/locks', { token })).toMatchObject({ status: 403, body: problem });
    expect(await client.del('/api/system/locks/any', { token })).toMatchObject({ status: 403, body: problem });
    // This replica has no Redis, which would have the locks.
    expect(await client.get('/api/system/locks', { token: admin })).toMatchObject({
      status: 200,
      body: { distributed: false, locks: [] },
    });
  });

  it.each<[string, Record<string, unknown>]>([
    ['role', { username: 'x', role: 'superadmin' }],
    ['role', { role: 'admin' }],
    ['is_admin', { username: 'x', is_admin: true }],
    ['department_id', { username: 'x', department_id: 1 }],
    ['password_hash', { username: 'x', password_hash: 'y' }],
    ['id', { username: 'x', id: 1 }],
  ])('P2 gains no rights by %s in its profile: %j', async (field, json) => {
    const { token } = await addUser(`p2_${Math.random().toString(36).slice(2, 12)}`);
    const answer = await client.put('/api/auth/profile', { json, token });
    expect(answer).toMatchObject({ status: 400, body: problem });
    expect(JSON.stringify(answer.body)).toContain(field);
    expect((await client.get<User>('/api/auth/me', { token })).body.role).toBe('user');
  });

  it('P2 cannot be made superadmin', async () => {
    const { id, token } = await addUser('p2_user');
    const manager = await addUser('p2_admin', 'admin');
    const update = (json: object, as: string) => client.put(`/api/auth/users/${id}`, { json, token: as });
    expect(await update({ role: 'superadmin' }, token)).toMatchObject({ status: 403, body: problem });
    for (const as of [manager.token, admin]) {
      expect(await update({ role: 'superadmin' }, as)).toMatchObject({ status: 400, body: problem });
      expect(await update({ username: 'x', is_admin: true }, as)).toMatchObject({ status: 400, body: problem });
    }
    expect(await update({ role: 'admin' }, manager.token)).toMatchObject({ status: 403, body: problem });
    const json = { user_id: 'p2_new', username: 'n', password: USER_PASSWORD, role: 'superadmin' };
    expect(await client.post('/api/auth/users', { json, token: admin })).toMatchObject({ status: 400, body: problem });
    expect((await client.get<User>('/api/auth/me', { token })).body.role).toBe('user');
    const again = { user_id: 'second', password: USER_PASSWORD };
    expect(await client.post('/api/auth/initialize', { json: again })).toMatchObject({ status: 403, body: problem });
  });
});

describe('P3 a knowledge base of another user', () => {
  let stranger: string;
  let dbId: string;
  let fileId: string;
  let uploadHandle: string;
  let taskId: string;

  beforeAll(async () => {
    const owner = await addUser('p3_admin', 'admin');
    stranger = (await addUser('p3_user')).token;
    dbId = await createKnowledgeBase(client, owner.token, 'private');
    const share = { share_config: { is_shared: false, accessible_departments: [] } };
    await client.put(`/api/knowledge/databases/${dbId}`, { json: share, token: owner.token });
    const upload = await client.post<{ file_id: string; file_path: string }>(
      `/api/knowledge/files/upload?db_id=${dbId}`,
      { multipart: form('private.txt', 'a private text'), token: owner.token },
    );
    expect(upload.status).toBe(201);
    fileId = upload.body.file_id;
    uploadHandle = upload.body.file_path;
    const added = await client.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents`, {
      json: { items: [uploadHandle] },
      token: owner.token,
    });
    expect(added.status).toBe(202);
    taskId = added.body.task_id;
  });

  function bodyFor({ method, path }: Operation): ApiRequest {
    if (path.endsWith('/files/upload') || path.endsWith('/file')) return { multipart: form('mine.txt', 'mine') };
    if (path.endsWith('/ingest')) return { json: { file_path: uploadHandle } };
    if (path.endsWith('/query') || path.endsWith('/query-test')) return { json: { query: 'private' } };
    if (path.endsWith('/documents')) return { json: { items: [uploadHandle] } };
    if (path.endsWith('/index')) return { json: { file_ids: [fileId] } };
    if (path.endsWith('/parse') || path.endsWith('/batch')) return { json: [fileId] };
    if (path.endsWith('/query-params') && method === 'put') return { json: { final_top_k: 5 } };
    return method === 'put' ? { json: { name: 'mine now' } } : {};
  }

  it('is answered like one that does not exist, on every route', async () => {
    const targets = operations
      .filter(({ path }) => /\{(db_id|task_id)\}/.test(path))
      .concat({ method: 'post', path: '/api/knowledge/files/upload' });
    expect(targets.length).toBeGreaterThan(15);
    const wrong: string[] = [];
    for (const target of targets) {
      const path = filled(target.path, { db_id: dbId, doc_id: fileId, task_id: taskId });
      const query = path.endsWith('/upload') ? `?db_id=${dbId}` : '';
      const foreign = await call({ ...target, path: path + query }, { ...bodyFor(target), token: stranger });
      const missing = await call(
        { ...target, path: filled(target.path, { doc_id: fileId }) + (query && '?db_id=nothing') },
        { ...bodyFor(target), token: stranger },
      );
      const same = foreign.body['code'] === missing.body['code'] && missing.status === 404;
      if (foreign.status !== 404 || !same)
        wrong.push(
          `${target.method} ${target.path}: ${foreign.status}, but ${missing.status} for one that does not exist`,
        );
    }
    expect(wrong).toEqual([]);
  });

  it('is in no list', async () => {
    for (const path of ['/api/knowledge/databases', '/api/knowledge/databases/accessible', '/api/tasks']) {
      const { status, body } = await client.get(path, { token: stranger });
      expect(status).toBe(200);
      expect(JSON.stringify(body)).not.toContain(dbId);
      expect(JSON.stringify(body)).not.toContain(taskId);
    }
  });

  it('is unchanged afterwards', async () => {
    const { status, body } = await client.get(`/api/knowledge/databases/${dbId}`, { token: admin });
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'private' });
    expect(JSON.stringify(body)).toContain(fileId);
  });
});

describe('a client of the legacy API', () => {
  it('finds the fields and texts that it shows', async () => {
    expect(await client.get('/api/system/health')).toMatchObject({ status: 200, body: { message: '服务正常运行' } });
    const dbId = await createKnowledgeBase(client, admin, 'legacy');
    const path = `/api/knowledge/databases/${dbId}`;
    const { body: list } = await client.get<{ databases: object[] }>('/api/knowledge/databases', { token: admin });
    const { body: database } = await client.get<object>(path, { token: admin });
    const changed = await client.put<{ database: object }>(path, { json: { description: 'x' }, token: admin });
    const connected = { db_id: dbId, status: '已连接' };
    expect(list.databases).toContainEqual(expect.objectContaining(connected));
    expect([database, changed.body.database]).toMatchObject([connected, connected]);
    const { body: upload } = await client.post<{ file_path: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
      multipart: form('legacy.txt', 'a legacy text'),
      token: admin,
    });
    const { file_path: name } = upload;
    expect(upload).toMatchObject({ minio_path: name, object_name: name, bucket_name: 'knowledge' });
  });
});
