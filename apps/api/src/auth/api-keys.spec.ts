import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { STORAGE_DRIVER } from '@yuxi/storage';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { AuthApp, counted, PASSWORD, type Answer } from '../../../../test/support/api/auth-app.js';
import { MAX_KEYS } from './api-keys.js';
import { KeySweeper } from './auth.module.js';

const KEYS = '/api/auth/keys';

describe('API keys', () => {
  let server: PostgresServer;
  let app: AuthApp;
  let other: AuthApp;
  let sql: SqlClient;
  let root: string;

  beforeAll(async () => {
    server = await startPostgres();
    const databaseUrl = (await server.createDatabase()).url;
    [app, other] = [await AuthApp.start({ databaseUrl }), await AuthApp.start({ databaseUrl })];
    sql = app.app.get<SqlClient>(SQL_CLIENT);
    root = (await app.initialize()).body['access_token'] as string;
  });
  afterAll(async () => {
    await Promise.all([app?.close(), other?.close()]);
    await server?.stop();
  });

  const make = (token: string, body: object = {}): Promise<Answer> =>
    app.call('POST', KEYS, { name: 'importer', scopes: ['read', 'write'], ...body }, token);
  const keyOf = async (token: string, body?: object) => (await make(token, body)).body['key'] as string;
  const list = async (token: string) =>
    (await app.call('GET', KEYS, undefined, token)).body as unknown as Record<string, unknown>[];
  const see = async (token: string, at = app) => (await at.call('GET', '/api/probe/see', undefined, token)).status;
  const post = async (token: string, what: string) => (await app.call('POST', `/api/probe/${what}`, {}, token)).status;

  const statuses = async (key: string) => [await see(key), await post(key, 'search'), await post(key, 'echo')];

  it('are shown once, and stored as a hash', async () => {
    const { token } = await app.addUser(root, 'shown');
    const { status, body } = await make(token, { expires_at: '2999-01-01T00:00:00+02:00' });
    expect({ status, body }).toEqual({
      status: 201,
      body: {
        id: expect.any(Number),
        name: 'importer',
        key: expect.stringMatching(/^yxkey_[\w-]{43}$/),
        hint: (body['key'] as string).slice(0, 11),
        scopes: ['read', 'write'],
        created_at: expect.stringMatching(/Z$/),
        expires_at: '2998-12-31T22:00:00.000Z',
        last_used: null,
      },
    });
    const { key, ...listed } = body;
    expect(await list(token)).toEqual([listed]);
    const { rows } = await sql.query<{ dump: string }>(
      'SELECT string_agg(k::text, $1) || (SELECT string_agg(a::text, $1) FROM audit_events a) AS dump FROM api_keys k',
      [' '],
    );
    expect(rows[0]!.dump).toContain('importer');
    expect(rows[0]!.dump).not.toContain((key as string).slice(11));
  });

  it('act as their user on every replica until they are revoked', async () => {
    const { token } = await app.addUser(root, 'speaks');
    const { body } = await make(token);
    const key = body['key'] as string;
    const seen = await other.call('GET', '/api/probe/see', undefined, key);
    expect(seen).toMatchObject({ status: 200, body: { userId: 'speaks', role: 'user' } });
    expect((await app.call('GET', '/api/auth/me', undefined, key)).body).toMatchObject({ user_id: 'speaks' });
    expect((await app.call('DELETE', `${KEYS}/${String(body['id'])}`, undefined, token)).status).toBe(200);
    expect([await see(key, other), await see(key)]).toEqual([401, 401]);
    expect((await app.call('DELETE', `${KEYS}/${String(body['id'])}`, undefined, token)).status).toBe(404);
    expect(await list(token)).toEqual([]);
  });

  it('are limited to their scopes: read for GET, write for other methods, unless the route names one', async () => {
    const { token } = await app.addUser(root, 'scoped');
    const reader = await keyOf(token, { scopes: ['read'] });
    const writer = await keyOf(token, { scopes: ['write'] });
    expect(await statuses(reader)).toEqual([200, 201, 403]);
    expect(await statuses(writer)).toEqual([403, 403, 201]);
    expect(await app.call('POST', '/api/probe/echo', {}, reader)).toMatchObject({
      body: { code: 'FORBIDDEN', detail: 'This request needs an API key with the scope write' },
    });
  });

  it('have at most the rights that their user has now', async () => {
    const { id, token } = await app.addUser(root, 'falls', 'admin');
    const key = await keyOf(token);
    expect([await see(key), await post(key, 'superadmin')]).toEqual([200, 403]);
    expect(await post(await keyOf(root), 'superadmin')).toBe(201);
    const lowered = await app.call('PUT', `/api/auth/users/${id}`, { role: 'user' }, root);
    expect(lowered.status).toBe(200);
    expect((await app.call('GET', '/api/probe/see', undefined, key)).body).toMatchObject({ role: 'user' });
  });

  it('cannot manage keys, sessions, passwords or users', async () => {
    const key = await keyOf(root);
    const closed: [Parameters<AuthApp['call']>[0], string, object?][] = [
      ['GET', KEYS],
      ['POST', KEYS, { name: 'x', scopes: ['read'] }],
      ['DELETE', `${KEYS}/1`],
      ['POST', '/api/auth/logout', { everywhere: true }],
      ['PUT', '/api/auth/password', { current_password: PASSWORD, new_password: 'something else' }],
      ['PUT', '/api/auth/profile', { username: 'x' }],
      ['GET', '/api/auth/users'],
      ['POST', '/api/auth/users', { username: 'x', password: 'something else' }],
      ['GET', '/api/auth/users/1'],
      ['PUT', '/api/auth/users/1', { username: 'x' }],
      ['DELETE', '/api/auth/users/1'],
    ];
    for (const [method, url, body] of closed)
      expect({ method, url, answer: await app.call(method, url, body, key) }).toMatchObject({
        answer: { status: 403, body: { detail: 'API keys cannot make this request: log in and use an access token' } },
      });
    expect((await app.call('POST', '/api/auth/refresh', { refresh_token: key })).status).toBe(401);
  });

  it.each<[string, (key: string) => string]>([
    ['cut', (key) => key.slice(0, -1)],
    ['longer', (key) => `${key}A`],
    ['changed in its last character', (key) => key.slice(0, -1) + (key.endsWith('A') ? 'E' : 'A')],
    ['in capitals', (key) => key.toUpperCase()],
    ['with another prefix', (key) => key.replace('yxkey_', 'yxref_')],
    ['given twice', (key) => `${key} ${key}`],
  ])('are refused %s', async (_what, change) => {
    const { token } = await app.addUser(root, `odd_${Math.random().toString(36).slice(2, 10)}`);
    const key = await keyOf(token);
    expect([await see(change(key)), await see(key)]).toEqual([401, 200]);
  });

  it('belong to one user, and become invalid when the user is deleted', async () => {
    const [one, two] = [await app.addUser(root, 'owner'), await app.addUser(root, 'stranger')];
    const { body } = await make(one.token);
    const foreign = await app.call('DELETE', `${KEYS}/${String(body['id'])}`, undefined, two.token);
    expect(foreign).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(await list(two.token)).toEqual([]);
    const key = body['key'] as string;
    expect(await see(key)).toBe(200);
    await app.call('DELETE', `/api/auth/users/${one.id}`, undefined, root);
    expect(await see(key, other)).toBe(401);
  });

  it('stay valid after a logout, but not after an administrator sets a password', async () => {
    const { id, token } = await app.addUser(root, 'taken_back');
    const key = await keyOf(token);
    await app.call('POST', '/api/auth/logout', { everywhere: true }, token);
    expect(await see(key)).toBe(200);
    await app.call('PUT', `/api/auth/users/${id}`, { password: 'given by the admin' }, root);
    expect(await see(key)).toBe(401);
  });

  it('become invalid when they expire, and are removed a month later', async () => {
    const { token } = await app.addUser(root, 'expires');
    const past = await make(token, { expires_at: '2020-01-01T00:00:00Z' });
    expect(past).toMatchObject({ status: 400, body: { detail: 'expires_at: must be in the future' } });
    const { body } = await make(token, { expires_at: '2999-01-01T00:00:00Z' });
    const kept = await keyOf(token);
    const expire = (ago: string) =>
      sql.query('UPDATE api_keys SET expires_at = now() - $1::interval WHERE id = $2', [ago, body['id']]);
    await expire('1 s');
    expect(await see(body['key'] as string)).toBe(401);
    const sweeper = app.app.get(KeySweeper);
    expect(await sweeper.sweep()).toBe(0);
    expect(await list(token)).toHaveLength(2);
    await expire('31 days');
    expect(await sweeper.sweep()).toBe(1);
    expect([(await list(token)).length, await see(kept)]).toEqual([1, 200]);
  });

  it(`are limited to ${MAX_KEYS} for each user, also when they are created at once`, async () => {
    const { token } = await app.addUser(root, 'collector');
    const answers = await Promise.all(Array.from({ length: MAX_KEYS + 12 }, () => make(token)));
    expect(counted(answers)).toEqual({ 201: MAX_KEYS, 409: 12 });
    const [first] = await list(token);
    await app.call('DELETE', `${KEYS}/${String(first?.['id'])}`, undefined, token);
    expect((await make(token)).status).toBe(201);
  });

  it('record their use once a minute', async () => {
    const { token } = await app.addUser(root, 'used');
    const key = await keyOf(token);
    const lastUsed = async () => (await list(token))[0]?.['last_used'] as string | null;
    expect(await lastUsed()).toBeNull();
    await Promise.all(Array.from({ length: 20 }, (_, i) => see(key, i % 2 ? app : other)));
    const first = await lastUsed();
    expect(Math.abs(Date.parse(first!) - Date.now())).toBeLessThan(60_000);
    await see(key);
    expect(await lastUsed()).toBe(first);
    await sql.query(`UPDATE api_keys SET last_used_at = last_used_at - interval '61 s'`);
    await see(key);
    expect(Date.parse((await lastUsed())!)).toBeGreaterThanOrEqual(Date.parse(first!));
  });

  it('need one statement for each request', async () => {
    const key = await keyOf(root);
    const { $client: pool } = app.app.get<{ db: { $client: { query: () => unknown; connect: () => unknown } } }>(
      STORAGE_DRIVER,
    ).db;
    const query = jest.spyOn(pool, 'query');
    expect(await see(key)).toBe(200);
    expect(query.mock.calls).toHaveLength(1);
    query.mockRestore();
  });

  it.each<[string, object]>([
    ['no name', { name: '' }],
    ['a name of two lines', { name: 'a\nb' }],
    ['no scope', { scopes: [] }],
    ['an unknown scope', { scopes: ['admin'] }],
    ['a scope twice', { scopes: ['read', 'read'] }],
    ['a day for an instant', { expires_at: '2999-01-01' }],
    ['an unknown field', { user_id: 1 }],
  ])('are not created with %s', async (_what, body) => {
    expect((await make(root, body)).status).toBe(400);
  });
});
