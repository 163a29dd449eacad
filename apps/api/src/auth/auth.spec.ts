import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { schema } from '@yuxi/storage';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { eq, sql } from 'drizzle-orm';
import { AuthApp, counted, PASSWORD } from '../../../../test/support/api/auth-app.js';

const REFUSED = { detail: expect.any(String), code: 'UNAUTHORIZED', request_id: expect.any(String) };

describe('auth', () => {
  let server: PostgresServer;
  let app: AuthApp;
  let token: string;

  beforeAll(async () => {
    server = await startPostgres();
    app = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url });
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  it('lets exactly one of 50 requests create the administrator', async () => {
    expect((await app.call('GET', '/api/auth/check-first-run')).body).toEqual({ first_run: true });
    const calls = Array.from({ length: 50 }, (_, index) =>
      app.initialize({ user_id: index % 2 ? 'root' : `root_${index}`, password: PASSWORD, phone_number: null }),
    );
    const answers = await Promise.all(calls);
    expect(counted(answers)).toEqual({ 200: 1, 403: 49 });
    const rows = await app.database.select().from(schema.users);
    expect(rows).toMatchObject([{ role: 'superadmin', deletedAt: null }]);
    expect((await app.call('GET', '/api/auth/check-first-run')).body).toEqual({ first_run: false });
    const winner = answers.find(({ status }) => status === 200)!.body;
    expect(winner).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 900,
      refresh_token: expect.stringMatching(/^yxref_[\w-]{43}$/),
      user_id: rows[0]?.id,
      username: rows[0]?.userId,
      user_id_login: rows[0]?.userId,
      phone_number: null,
      avatar: null,
      role: 'superadmin',
      department_id: expect.any(Number),
      department_name: '默认部门',
    });
    token = winner['access_token'] as string;
    await app.database.update(schema.users).set({ userId: 'root', username: 'root', phoneNumber: '13800138000' });
  });

  it('control: without the index several administrators are created', async () => {
    const app2 = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url });
    await app2.database.execute(sql`DROP INDEX users_one_superadmin`);
    const names = Array.from({ length: 10 }, (_, index) => ({ user_id: `root_${index}`, password: PASSWORD }));
    await Promise.all(names.map((body) => app2.initialize(body)));
    expect((await app2.database.select().from(schema.users)).length).toBeGreaterThan(1);
    await app2.close();
  });

  it('stores an argon2id hash with the documented parameters', async () => {
    const [row] = await app.database.select().from(schema.users);
    expect(row?.passwordHash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it('logs in by name or phone number, by JSON or OAuth2 form', async () => {
    expect(await app.login('root')).toMatchObject({
      status: 200,
      body: { user_id_login: 'root', token_type: 'bearer' },
    });
    expect((await app.login('13800138000')).status).toBe(200);
    const form = new URLSearchParams({ grant_type: 'password', username: 'root', password: PASSWORD, scope: '' });
    expect((await app.call('POST', '/api/auth/token', form.toString())).status).toBe(200);
    const [row] = await app.database.select().from(schema.users);
    expect(Math.abs(Number(row?.lastLogin) - Date.now())).toBeLessThan(60_000);
  });

  it('answers a wrong password, an unknown and a deleted user with the same response', async () => {
    const body = { user_id: 'gone', username: 'Gone', password: PASSWORD };
    const { body: gone } = await app.call('POST', '/api/auth/users', body, token);
    await app.call('DELETE', `/api/auth/users/${String(gone['id'])}`, undefined, token);
    const answers = [await app.login('root', 'wrong'), await app.login('unknown'), await app.login('gone')];
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 401, body: REFUSED, headers: { 'www-authenticate': 'Bearer' } });
      expect(answer.body['detail']).toBe(answers[0]?.body['detail']);
    }
  });

  it.each<[string, object, number]>([
    ['no password', { username: 'root' }, 400],
    ['operator', { username: { $ne: null }, password: 'x' }, 400],
    ['unknown field', { username: 'root', password: PASSWORD, admin: true }, 400],
    ['long password', { username: 'root', password: 'x'.repeat(1025) }, 400],
    ['long name', { username: 'x'.repeat(256), password: 'x' }, 400],
    ['NUL', { username: 'root\0', password: 'x' }, 400],
    ['huge name', { username: 'x'.repeat(1_100_000), password: 'x' }, 413],
    ['SQL', { username: "' or 1=1--", password: 'x' }, 401],
    ['newline', { username: 'root\nWARN all good', password: 'x' }, 401],
    ['emoji', { username: '😀', password: '😀' }, 401],
  ])('refuses a login with %s', async (_name, body, status) => {
    const answer = await app.call('POST', '/api/auth/token', body);
    expect(answer).toMatchObject({ status, body: { code: expect.any(String) } });
    expect(JSON.stringify(answer.body)).not.toContain(PASSWORD);
  });

  it('accepts one path and one method for a login', async () => {
    const urls = ['/api/auth/token/', '//api/auth/token', '/api/AUTH/token', '/api/auth/token;x', '/api/auth//token'];
    for (const url of urls)
      expect((await app.call('POST', url, { username: 'root', password: PASSWORD })).status).toBe(404);
    for (const method of ['GET', 'PUT', 'DELETE'] as const)
      expect((await app.call(method, `/api/auth/token?username=root&password=${PASSWORD}`)).status).toBe(404);
  });

  it.each<[string, object, string]>([
    ['short name', { user_id: 'ab', password: PASSWORD }, 'user_id'],
    ['name with a blank', { user_id: 'a b c', password: PASSWORD }, 'user_id'],
    ['short password', { user_id: 'abc', password: '1234567' }, 'password'],
    ['long password', { user_id: 'abc', password: '密'.repeat(342) }, 'password'],
    ['odd phone', { user_id: 'abc', password: PASSWORD, phone_number: 'call me' }, 'phone_number'],
    ['role', { user_id: 'abc', password: PASSWORD, role: 'superadmin' }, 'role'],
  ])('initialize refuses: %s', async (_name, body, field) => {
    const answer = await app.initialize(body);
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(field) } });
  });

  it('returns the logged-in user, and changes name and phone number', async () => {
    const me = await app.call('GET', '/api/auth/me', undefined, token);
    expect(me.body).toMatchObject({ user_id: 'root', role: 'superadmin', department_name: '默认部门' });
    expect(me.body['created_at']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    const changed = await app.call(
      'PUT',
      '/api/auth/profile',
      { username: '管理员', phone_number: '+4912345678' },
      token,
    );
    expect(changed).toMatchObject({ status: 200, body: { username: '管理员', phone_number: '+4912345678' } });
    for (const body of [{ role: 'superadmin' }, { is_admin: true }, {}, { token_version: 0 }])
      expect((await app.call('PUT', '/api/auth/profile', body, token)).status).toBe(400);
  });

  it('invalidates tokens after a new password and after a deletion', async () => {
    const create = { user_id: 'short_lived', username: 'x', password: PASSWORD };
    const { body: user } = await app.call('POST', '/api/auth/users', create, token);
    const url = `/api/auth/users/${String(user['id'])}`;
    const first = await app.tokenOf('short_lived');
    expect((await app.call('GET', '/api/auth/me', undefined, first)).status).toBe(200);
    await app.call('PUT', url, { password: 'another password' }, token);
    expect((await app.call('GET', '/api/auth/me', undefined, first)).status).toBe(401);
    const second = await app.tokenOf('short_lived', 'another password');
    await app.call('DELETE', url, undefined, token);
    expect((await app.call('GET', '/api/auth/me', undefined, second)).status).toBe(401);
    const reuse = await app.call('POST', '/api/auth/users', create, token);
    expect(reuse).toMatchObject({ status: 409, body: { code: 'CONFLICT', detail: 'user_id is taken' } });
    const [row] = await app.database.select().from(schema.users).where(eq(schema.users.userId, 'short_lived'));
    expect(row?.tokenVersion).toBe(2);
  });
});

it('works on PGlite: one administrator of 10, sessions, keys, passwords and the audit log', async () => {
  const app = await AuthApp.start();
  const calls = Array.from({ length: 10 }, (_, index) =>
    app.initialize({ user_id: `root_${index}`, password: PASSWORD }),
  );
  const answers = await Promise.all(calls);
  expect(counted(answers)).toEqual({ 200: 1, 403: 9 });
  const winner = answers.find(({ status }) => status === 200)!.body['user_id_login'] as string;
  expect((await app.initialize({ user_id: winner, password: PASSWORD })).status).toBe(403);
  const token = await app.tokenOf(winner);
  const taken = await app.call(
    'POST',
    '/api/auth/users',
    { user_id: winner, username: 'x', password: PASSWORD },
    token,
  );
  expect(taken).toMatchObject({ status: 409, body: { detail: 'user_id is taken' } });

  const made = await app.call('POST', '/api/auth/keys', { name: 'k', scopes: ['read'] }, token);
  expect((await app.call('GET', '/api/auth/me', undefined, made.body['key'] as string)).status).toBe(200);
  const { body: login } = await app.login(winner);
  const refresh = () => app.call('POST', '/api/auth/refresh', { refresh_token: login['refresh_token'] });
  expect(counted(await Promise.all(Array.from({ length: 5 }, refresh)))).toEqual({ 200: 1, 409: 4 });
  const body = { current_password: PASSWORD, new_password: 'battery staple' };
  const changed = await app.call('PUT', '/api/auth/password', body, login['access_token'] as string);
  expect(changed.status).toBe(200);
  expect((await app.call('GET', '/api/auth/me', undefined, token)).status).toBe(401);
  const now = changed.body['access_token'] as string;
  const events = () => app.call('GET', '/api/system/audit?limit=1', undefined, now);
  await eventually(async () => JSON.stringify((await events()).body).includes('password.change'), {
    describe: 'the new password to be in the audit log',
  });
  expect((await app.call('POST', '/api/auth/logout', undefined, now)).status).toBe(200);
  expect((await events()).status).toBe(401);
  await app.close();
});
