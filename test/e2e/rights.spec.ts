import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiRequest } from '@yuxi/testing';
import { type Base, IDENTITIES, type Identity, IdentityWorld } from '../support/api/identities.js';
import { USER_PASSWORD } from '../support/api/accounts.js';

/** A request, and the values for its path. */
interface Call extends ApiRequest {
  path?: object;
  query?: string;
}
type Make = (who: Identity) => Call | Promise<Call>;
/** `METHOD path`, its subject, the status for each identity in the order of IDENTITIES, and the call. */
type Row = [route: string, about: string, statuses: string, make?: Make];

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const DB = '/api/knowledge/databases/{db_id}';
const DOC = `${DB}/documents/{doc_id}`;

let world: IdentityWorld;
const bases = {} as Record<'private' | 'shared', Base>;

beforeAll(async () => {
  world = await IdentityWorld.start();
  [bases.private, bases.shared] = [await world.base(), await world.base(true)];
}, 60_000);
afterAll(() => world?.stop(), 60_000);

const of =
  (about: 'private' | 'shared', rest: (base: Base) => Call = () => ({})): Make =>
  () => ({ path: bases[about], ...rest(bases[about]) });
const ofNew =
  (about: 'private' | 'shared', rest: (base: Base) => Call = () => ({})): Make =>
  async () => {
    const base = await world.base(about === 'shared');
    return { path: base, ...rest(base) };
  };
const json = (value: unknown) => () => ({ json: value });
const task =
  (status: 'pending' | 'success' | 'failed', about: () => { scope?: string; owner?: number }): Make =>
  async () => ({ path: { task_id: await world.task(status, about()) } });
const newSaga = async () => ({ path: { id: (await world.base()).saga_id } });

/** One row for a private knowledge base of the owner, and one for a base shared with the owner's department. */
function both(
  route: string,
  onPrivate: string,
  onShared: string,
  make: (about: 'private' | 'shared') => Make,
  what = '',
): Row[] {
  return [
    [route, `${what}private`, onPrivate, make('private')],
    [route, `${what}shared`, onShared, make('shared')],
  ];
}
/** The rights on a task, for any route. */
function onTasks(route: string, status: 'pending' | 'success' | 'failed', reads: boolean): Row[] {
  const [key, colleague] = reads ? ['200', '200'] : ['403', '403'];
  return [
    [route, 'of a private base', `401 200 404 404 200 404 200 ${key} 401`, task(status, () => ({ scope: bases.private.db_id }))],
    [route, 'of a shared base', `401 200 ${colleague} 404 200 404 200 ${key} 401`, task(status, () => ({ scope: bases.shared.db_id, owner: world.ids.stranger }))],
    [route, 'of a deleted base', `401 404 404 404 404 404 200 ${reads ? '404' : '403'} 401`, task(status, () => ({ scope: 'kb_gone', owner: world.ids.owner }))],
    [route, 'of the owner, without a base', `401 200 404 404 404 404 200 ${key} 401`, task(status, () => ({ owner: world.ids.owner }))],
    [route, 'without an owner', `401 404 404 404 404 404 200 ${reads ? '404' : '403'} 401`, task(status, () => ({}))],
  ]; // prettier-ignore
}

//                                                   anonymous owner colleague stranger admin_a admin_b superadmin read_key ended
const WITHOUT_TOKEN = '200 200 200 200 200 200 200 200 200';
const WITH_TOKEN = '401 200 200 200 200 200 200 200 401';
const WITH_SESSION = '401 200 200 200 200 200 200 403 401';
const ADMINS = '401 403 403 403 200 200 200 403 401';
const ONLY_SUPERADMIN = '401 403 403 403 403 403 200 403 401';
const READS = ['401 200 404 404 200 404 200 200 401', '401 200 200 404 200 404 200 200 401'] as const;
const CHANGES = ['401 200 404 404 200 404 200 403 401', '401 200 403 404 200 404 200 403 401'] as const;
const MANAGER_READS = ['401 200 404 404 200 404 200 200 401', '401 200 403 404 200 404 200 200 401'] as const;
const created = (statuses: readonly [string, string], status: string) =>
  statuses.map((row) => row.replaceAll('200', status)) as [string, string];

const ROWS: Row[] = [
  ['GET /health/live', '', WITHOUT_TOKEN],
  ['GET /health/ready', '', WITHOUT_TOKEN],
  ['GET /health/startup', '', WITHOUT_TOKEN],
  ['GET /api/system/health', '', WITHOUT_TOKEN],
  ['GET /api/auth/check-first-run', '', WITHOUT_TOKEN],
  ['POST /api/auth/initialize', 'a second time', '403 403 403 403 403 403 403 403 403', json({ user_id: 'second', password: USER_PASSWORD })],
  ['POST /api/auth/token', 'with nothing', '400 400 400 400 400 400 400 400 400', json({})],
  ['POST /api/auth/refresh', 'with no token', '401 401 401 401 401 401 401 401 401', json({ refresh_token: 'none' })],
  ['POST /api/auth/logout', '', WITH_SESSION, async (who) => ({ json: {}, ...(await fresh(who)) })],
  ['PUT /api/auth/password', 'with a wrong one', '401 422 422 422 422 422 422 403 401', json({ current_password: 'wrong', new_password: 'another password' })],
  ['GET /api/auth/me', '', WITH_TOKEN],
  ['PUT /api/auth/profile', '', WITH_SESSION, json({ username: 'renamed' })],
  ['GET /api/auth/users', '', ADMINS],
  ['POST /api/auth/users', '', '401 403 403 403 201 201 201 403 401', () => ({ json: { user_id: world.unique('new'), username: 'x', password: USER_PASSWORD } })],
  ['GET /api/auth/users/{id}', 'of department A', '401 403 403 403 200 404 200 403 401', () => ({ path: { id: world.ids.colleague } })],
  ['PUT /api/auth/users/{id}', 'of department A', '401 403 403 403 200 404 200 403 401', () => ({ path: { id: world.ids.colleague }, json: { username: 'renamed' } })],
  ['DELETE /api/auth/users/{id}', 'of department A', '401 403 403 403 200 404 200 403 401', async () => ({ path: await world.newUser() })],
  ['POST /api/auth/keys', '', '401 201 201 201 201 201 201 403 401', () => ({ json: { name: world.unique('own'), scopes: ['read'] } })],
  ['GET /api/auth/keys', '', WITH_SESSION],
  ['DELETE /api/auth/keys/{id}', 'of the owner', '401 200 404 404 404 404 404 403 401', async () => ({ path: await world.key(['read'], world.tokens.owner[0]!) })],

  ['GET /api/knowledge/databases', '', WITH_TOKEN],
  ['GET /api/knowledge/databases/accessible', '', WITH_TOKEN],
  ['POST /api/knowledge/databases', '', '401 201 201 201 201 201 201 403 401', () => ({ json: { database_name: world.unique('new') } })],
  ['GET /api/knowledge/types', '', WITH_TOKEN],
  ['GET /api/knowledge/files/supported-types', '', WITH_TOKEN],
  ['GET /api/knowledge/embedding-models/status', '', ADMINS],
  ['GET /api/knowledge/embedding-models/{model_id}/status', '', ADMINS, () => ({ path: { model_id: 'hashed-ngram' } })],
  ...both(`GET ${DB}`, ...READS, (about) => of(about)),
  ...both(`PUT ${DB}`, ...CHANGES, (about) => of(about, json({ description: 'changed' }))),
  ...both(`DELETE ${DB}`, ...CHANGES, (about) => ofNew(about)),
  ...both(`GET ${DB}/query-params`, ...READS, (about) => of(about)),
  ...both(`PUT ${DB}/query-params`, ...CHANGES, (about) => of(about, json({ final_top_k: 5 }))),
  ...both(`POST ${DB}/query`, ...READS, (about) => of(about, json({ query: 'text' }))),
  ...both(`POST ${DB}/query-test`, ...READS, (about) => of(about, json({ query: 'text' }))),
  ...both(`POST ${DB}/documents`, ...created(CHANGES, '202'), (about) => of(about, ({ upload }) => ({ json: { items: [upload] } }))),
  ...both(`POST ${DB}/documents/parse`, ...created(CHANGES, '202'), (about) => of(about, ({ doc_id }) => ({ json: [doc_id] }))),
  ...both(`POST ${DB}/documents/index`, ...created(CHANGES, '202'), (about) => of(about, ({ doc_id }) => ({ json: { file_ids: [doc_id] } }))),
  ...both(`DELETE ${DB}/documents/batch`, ...CHANGES, (about) => ofNew(about, ({ doc_id }) => ({ json: [doc_id] }))),
  ...both(`GET ${DOC}`, ...READS, (about) => of(about)),
  ...both(`GET ${DOC}/basic`, ...READS, (about) => of(about)),
  ...both(`GET ${DOC}/content`, ...READS, (about) => of(about)),
  ...both(`GET ${DOC}/download`, ...READS, (about) => of(about)),
  ...both(`PUT ${DOC}/file`, ...created(CHANGES, '202'), (about) => of(about, () => ({ multipart: world.file() }))),
  ...both(`DELETE ${DOC}`, ...CHANGES, (about) => ofNew(about)),
  ...both('POST /api/knowledge/files/upload', ...created(CHANGES, '201'), (about) => of(about, ({ db_id }) => ({ query: `?db_id=${db_id}`, multipart: world.file() }))),
  ...both(`POST ${DB}/ingest`, ...created(CHANGES, '202'), (about) => ofNew(about, ({ upload }) => ({ json: { file_path: upload } }))),
  ...both(`GET ${DB}/ingest/{saga_id}`, ...MANAGER_READS, (about) => of(about)),
  ...both(`DELETE ${DB}/ingest/{saga_id}`, ...CHANGES, (about) => ofNew(about)),

  ['GET /api/tasks', '', WITH_TOKEN],
  ...both('GET /api/tasks/{task_id}', ...READS, (about) => of(about)),
  ...both('GET /api/tasks/{task_id}', ...READS, (about) => of(about, ({ saga_id }) => ({ path: { task_id: `${saga_id}.1` } })), 'step of a saga, '),
  ...onTasks('GET /api/tasks/{task_id}', 'pending', true),
  ...onTasks('GET /api/tasks/{task_id}/events', 'success', true),
  ...onTasks('POST /api/tasks/{task_id}/cancel', 'pending', false),
  ...onTasks('POST /api/tasks/{task_id}/retry', 'failed', false),
  ...onTasks('DELETE /api/tasks/{task_id}', 'success', false),
  ...both('POST /api/tasks/{task_id}/cancel', ...CHANGES, (about) => ofNew(about)),
  ...both('POST /api/tasks/{task_id}/cancel', ...CHANGES, (about) => ofNew(about, ({ saga_id }) => ({ path: { task_id: `${saga_id}.1` } })), 'step of a saga, '),

  ['GET /api/system/locks', '', ONLY_SUPERADMIN],
  ['DELETE /api/system/locks/{name}', 'without Redis', '401 403 403 403 403 403 503 403 401', () => ({ path: { name: 'any' } })],
  ['GET /api/system/limits', '', ONLY_SUPERADMIN],
  ['DELETE /api/system/limits/{policy}/{key}', '', ONLY_SUPERADMIN, () => ({ path: { policy: 'login.address', key: '192.0.2.1' } })],
  ['GET /api/system/queues', '', ONLY_SUPERADMIN],
  ['GET /api/system/queues/dead-letters', '', ONLY_SUPERADMIN],
  ['POST /api/system/queues/dead-letters/replay', '', ONLY_SUPERADMIN, json({ queue: 'none' })],
  ['POST /api/system/queues/dead-letters/discard', '', ONLY_SUPERADMIN, json({ queue: 'none' })],
  ['POST /api/system/queues/{queue}/pause', '', ONLY_SUPERADMIN, () => ({ path: { queue: 'some' } })],
  ['POST /api/system/queues/{queue}/resume', '', ONLY_SUPERADMIN, () => ({ path: { queue: 'some' } })],
  ['DELETE /api/system/queues/{queue}/waiting', '', ONLY_SUPERADMIN, () => ({ path: { queue: 'some' } })],
  ['GET /api/system/sagas', '', ONLY_SUPERADMIN],
  ['GET /api/system/sagas/{id}', '', ONLY_SUPERADMIN, newSaga],
  ['POST /api/system/sagas/{id}/retry', '', ONLY_SUPERADMIN, newSaga],
  ['POST /api/system/sagas/{id}/skip', 'that is not stuck', '401 403 403 403 403 403 409 403 401', newSaga],
  ['POST /api/system/sagas/{id}/cancel', '', ONLY_SUPERADMIN, newSaga],
  ['GET /api/system/config', '', ADMINS],
  ['PUT /api/system/config', 'without If-Match', '401 403 403 403 403 403 428 403 401', json({ final_top_k: 10 })],
  ['POST /api/system/config', '', ONLY_SUPERADMIN, json({ key: 'final_top_k', value: 10 })],
  ['POST /api/system/config/update', '', ONLY_SUPERADMIN, json({ final_top_k: 10 })],
  ['POST /api/system/config/rollback', 'without If-Match', '401 403 403 403 403 403 428 403 401', json({ revision: 999_999 })],
  ['GET /api/system/config/rollout', '', ONLY_SUPERADMIN],
  ['DELETE /api/system/config/rollout/{id}', 'of none', '401 403 403 403 403 403 404 403 401', () => ({ path: { id: 'absent' } })],
  ['GET /api/system/config/history', '', ONLY_SUPERADMIN],
  ['GET /api/system/audit', '', ONLY_SUPERADMIN],
]; // prettier-ignore

/** A new session for an identity whose session the call ends. */
async function fresh(who: Identity): Promise<Call> {
  const people: Identity[] = ['owner', 'colleague', 'stranger', 'admin_a', 'admin_b', 'superadmin'];
  return people.includes(who) ? { token: await world.login(who) } : {};
}

const filled = (path: string, values: object = {}) =>
  path.replace(/\{(\w+)\}/g, (_all, name: string) =>
    encodeURIComponent(String((values as Record<string, unknown>)[name])),
  );

/** The statuses of a row. A cell shows several statuses when the credentials of an identity are treated differently. */
async function answersOf(route: string, make: Make): Promise<string> {
  const [method, path] = route.split(' ') as [string, string];
  const verb = method === 'DELETE' ? 'del' : (method.toLowerCase() as 'get');
  const cells: string[] = [];
  let made: Call | undefined;
  for (const who of IDENTITIES) {
    const statuses = new Set<number>();
    for (const token of world.tokens[who]) {
      // A refused call has changed nothing, so its data can be used again.
      if (!made || make.length > 0) made = await make(who);
      const { path: values, query = '', ...request } = made;
      const { status } = await world.client[verb](filled(path, values) + query, { token, ...request });
      if (status < 300) made = undefined;
      statuses.add(status);
    }
    cells.push([...statuses].join('|'));
  }
  return cells.join(' ');
}

describe('the rights of nine identities', () => {
  it('are listed for every route of the OpenAPI document, and for no other', async () => {
    const { body } = await world.client.get<{ paths: Record<string, object> }>('/api/openapi.json');
    const routes = Object.entries(body.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => method in item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.length).toBeGreaterThan(60);
    expect([...new Set(ROWS.map(([route]) => route))].sort()).toEqual(routes.sort());
  });

  it.each(
    ROWS.map(
      ([route, about, statuses, make = () => ({})]) => [`${route} ${about}`.trim(), route, statuses, make] as const,
    ),
  )('%s', async (_title, route, statuses, make) => {
    expect(await answersOf(route, make)).toBe(statuses);
  });

  it('apply to the lists and counts of tasks', async () => {
    const { owner, stranger } = world.ids;
    const tasks = {
      private: await world.task('failed', { scope: bases.private.db_id, owner: stranger }),
      shared: await world.task('failed', { scope: bases.shared.db_id }),
      owner: await world.task('failed', { owner }),
      stranger: await world.task('failed', { owner: stranger }),
      unowned: await world.task('failed'),
    };
    const list = async (who: Identity, limit: number) => {
      type List = { tasks: { id: string }[]; summary: { total: number; filtered_total: number } };
      const path = `/api/tasks?status=failed&limit=${limit}`;
      const { body } = await world.client.get<List>(path, { token: world.tokens[who][0] });
      return { ids: body.tasks.map(({ id }) => id), ...body.summary };
    };
    const names = (ids: readonly string[]) =>
      Object.entries(tasks).flatMap(([name, id]) => (ids.includes(id) ? [name] : []));
    const seen = await Promise.all(
      IDENTITIES.filter((who) => !['anonymous', 'ended'].includes(who)).map(async (who) => [
        who,
        names((await list(who, 100)).ids),
      ]),
    );
    expect(Object.fromEntries(seen)).toEqual({
      owner: ['private', 'shared', 'owner'],
      colleague: ['shared'],
      stranger: ['stranger'],
      admin_a: ['private', 'shared'],
      admin_b: [],
      superadmin: ['private', 'shared', 'owner', 'stranger', 'unowned'],
      read_key: ['private', 'shared', 'owner'],
    });
    // A page is filled with visible tasks, also when invisible ones are newer.
    expect((await list('owner', 2)).ids).toEqual([tasks.owner, tasks.shared]);
    expect(await list('stranger', 1)).toMatchObject({ ids: [tasks.stranger], filtered_total: 1 });
    expect(await list('admin_b', 1)).toMatchObject({ ids: [], total: 0, filtered_total: 0 });
  });
});
