import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { schema } from '@yuxi/storage';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { eq } from 'drizzle-orm';
import { AuthApp, PASSWORD } from '../../../../test/support/api/auth-app.js';

type Who = 'root' | 'admin_a' | 'admin_a2' | 'user_a' | 'admin_b' | 'user_b';

describe('roles', () => {
  let server: PostgresServer;
  let app: AuthApp;
  const tokens = {} as Record<Who, string>;
  const ids = {} as Record<Who, number>;
  let other: number;

  beforeAll(async () => {
    server = await startPostgres();
    app = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url });
    const { body: root } = await app.initialize();
    [tokens.root, ids.root] = [root['access_token'] as string, root['user_id'] as number];
    const [department] = await app.database.insert(schema.departments).values({ name: 'B' }).returning();
    other = department?.id ?? 0;
    for (const who of ['admin_a', 'admin_a2', 'user_a', 'admin_b', 'user_b'] as const) {
      const { status, body } = await create(tokens.root, {
        user_id: who,
        role: who.startsWith('admin') ? 'admin' : 'user',
        ...(who.endsWith('_b') && { department_id: other }),
      });
      expect(status).toBe(201);
      ids[who] = body['id'] as number;
      tokens[who] = await app.tokenOf(who);
    }
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  const create = (token: string, body: object) =>
    app.call('POST', '/api/auth/users', { username: 'x', password: PASSWORD, ...body }, token);
  const update = (caller: Who, target: Who, body: object) =>
    app.call('PUT', `/api/auth/users/${ids[target]}`, body, tokens[caller]);

  const statuses = async (method: 'GET' | 'POST', url: string) => {
    const answers = (['root', 'admin_a', 'user_a'] as const).map((who) =>
      app.call(method, url, undefined, tokens[who]),
    );
    return (await Promise.all(answers)).map(({ status }) => status);
  };

  it('are checked on all routes except the public ones', async () => {
    const closed = [
      'GET /api/auth/me',
      'PUT /api/auth/profile',
      'GET /api/auth/users',
      'POST /api/probe/superadmin',
      'DELETE /api/auth/users/1',
    ];
    for (const route of closed) {
      const [method, url] = route.split(' ') as ['GET', string];
      expect(await app.call(method, url)).toMatchObject({
        status: 401,
        body: { code: 'UNAUTHORIZED' },
        headers: { 'www-authenticate': 'Bearer' },
      });
    }
    expect((await app.call('GET', '/api/auth/check-first-run')).status).toBe(200);
  });

  it('allow a route from its minimum role on', async () => {
    expect(await statuses('POST', '/api/probe/superadmin')).toEqual([201, 403, 403]);
    expect(await statuses('GET', '/api/auth/users')).toEqual([200, 200, 403]);
    expect(await statuses('GET', '/api/auth/me')).toEqual([200, 200, 200]);
  });

  it('decide which users are listed', async () => {
    const seen = async (who: Who) => {
      const { body } = await app.call('GET', '/api/auth/users', undefined, tokens[who]);
      return (body as unknown as { user_id: string }[]).map((user) => user.user_id);
    };
    expect(await seen('root')).toEqual(['root', 'admin_a', 'admin_a2', 'user_a', 'admin_b', 'user_b']);
    expect(await seen('admin_a')).toEqual(['root', 'admin_a', 'admin_a2', 'user_a']);
    expect(await seen('admin_b')).toEqual(['admin_b', 'user_b']);
    const one = await app.call('GET', `/api/auth/users/${ids.user_b}`, undefined, tokens.admin_a);
    expect(one).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    const page = await app.call('GET', '/api/auth/users?limit=2&page=2', undefined, tokens.root);
    expect((page.body as unknown as { user_id: string }[]).map((user) => user.user_id)).toEqual(['admin_a2', 'user_a']);
  });

  it.each<[Who, Who, number]>([
    ['root', 'admin_a', 200],
    ['root', 'user_b', 200],
    ['root', 'root', 200],
    ['admin_a', 'user_a', 200],
    ['admin_a', 'admin_a', 403],
    ['admin_a', 'admin_a2', 403],
    ['admin_a', 'root', 403],
    ['admin_a', 'user_b', 404],
    ['admin_b', 'root', 404],
    ['user_a', 'user_a', 403],
    ['user_a', 'root', 403],
  ])('%s changes %s: %i', async (caller, target, status) => {
    expect((await update(caller, target, { username: 'y' })).status).toBe(status);
  });

  it('can only be assigned below the own role', async () => {
    const { root, admin_a: admin, user_a: user } = tokens;
    expect((await create(admin, { user_id: 'new_1', role: 'admin' })).status).toBe(403);
    expect((await create(admin, { user_id: 'new_1', department_id: other })).status).toBe(403);
    expect((await create(user, { user_id: 'new_1' })).status).toBe(403);
    expect((await create(root, { user_id: 'new_1', role: 'superadmin' })).status).toBe(400);
    expect((await create(root, { user_id: 'new_1', department_id: 99_999 })).status).toBe(400);
    expect(await create(admin, { user_id: 'new_1' })).toMatchObject({
      status: 201,
      body: { role: 'user', department_name: '默认部门' },
    });
    expect((await update('admin_a', 'user_a', { role: 'admin' })).status).toBe(403);
    expect((await update('admin_a', 'user_a', { department_id: other })).status).toBe(403);
    expect((await update('root', 'root', { role: 'user' })).status).toBe(403);
    for (const body of [
      { is_admin: true },
      { role: 'superadmin' },
      { token_version: 9 },
      { id: 1 },
      { password_hash: 'x' },
      {},
    ])
      expect((await update('root', 'user_a', body)).status).toBe(400);
  });

  it('are effective at once when they change, and old tokens become invalid', async () => {
    const made = await create(tokens.root, { user_id: 'rises' });
    const url = `/api/auth/users/${String(made.body['id'])}`;
    const before = await app.tokenOf('rises');
    expect((await app.call('PUT', url, { role: 'admin' }, tokens.root)).body).toMatchObject({ role: 'admin' });
    expect((await app.call('GET', '/api/auth/users', undefined, before)).status).toBe(401);
    const after = await app.tokenOf('rises');
    expect((await app.call('GET', '/api/auth/users', undefined, after)).status).toBe(200);
    await app.database.update(schema.users).set({ role: 'user' }).where(eq(schema.users.userId, 'rises'));
    expect((await app.call('GET', '/api/auth/users', undefined, after)).status).toBe(403);
  });

  it('do not allow to delete oneself or the superadmin', async () => {
    const remove = (caller: Who, target: Who) =>
      app.call('DELETE', `/api/auth/users/${ids[target]}`, undefined, tokens[caller]);
    expect((await remove('root', 'root')).status).toBe(403);
    expect((await remove('admin_a', 'admin_a')).status).toBe(403);
    expect((await remove('admin_a', 'root')).status).toBe(403);
    expect((await remove('admin_a', 'user_b')).status).toBe(404);
    expect(await remove('admin_b', 'user_b')).toMatchObject({ status: 200, body: { message: 'deleted' } });
    expect((await remove('admin_b', 'user_b')).status).toBe(404);
    expect((await app.call('GET', '/api/auth/me', undefined, tokens.user_b)).status).toBe(401);
  });

  it('apply also when a user is created without a login name, and a conflict names the field', async () => {
    const first = await create(tokens.root, { username: '张三', phone_number: '13900000000' });
    expect(first.body['user_id']).toMatch(/^u_[0-9a-f]{12}$/);
    expect(await create(tokens.root, { username: 'other', phone_number: '13900000000' })).toMatchObject({
      status: 409,
      body: { detail: 'phone_number is taken', errors: [{ path: 'phone_number' }] },
    });
    expect((await create(tokens.root, { username: 'plain_name' })).body['user_id']).toBe('plain_name');
  });
});
