import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { hash } from '@node-rs/argon2';
import { schema } from '@yuxi/storage';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { eq } from 'drizzle-orm';
import { AuthApp, counted, PASSWORD, type Answer } from '../../../../test/support/api/auth-app.js';
import { Passwords } from './passwords.js';

const STRONG = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/;
const NEW = 'battery staple';

const refusedAs = (path: string, rule: string) => ({
  status: 422,
  body: { code: 'PASSWORD_REFUSED', errors: [{ path }], details: { rule } },
});

const legacyHash = (password: string, salt: string) =>
  `${createHash('sha256')
    .update(password + salt)
    .digest('hex')}:${salt}`;

describe('passwords', () => {
  let server: PostgresServer;
  let app: AuthApp;
  let other: AuthApp;
  let root: string;

  beforeAll(async () => {
    server = await startPostgres();
    const databaseUrl = (await server.createDatabase()).url;
    [app, other] = [await AuthApp.start({ databaseUrl }), await AuthApp.start({ databaseUrl })];
    root = (await app.initialize()).body['access_token'] as string;
  });
  afterAll(async () => {
    await Promise.all([app?.close(), other?.close()]);
    await server?.stop();
  });

  const me = async (token: unknown, at = app) =>
    (await at.call('GET', '/api/auth/me', undefined, token as string)).status;
  const refresh = (token: unknown, at = app) => at.call('POST', '/api/auth/refresh', { refresh_token: token });
  const change = (token: string, body: object = {}) =>
    app.call('PUT', '/api/auth/password', { current_password: PASSWORD, new_password: NEW, ...body }, token);
  const store = (userId: string, passwordHash: string) =>
    app.database.update(schema.users).set({ passwordHash }).where(eq(schema.users.userId, userId));

  const stored = async (userId: string) => {
    const [row] = await app.database.select().from(schema.users).where(eq(schema.users.userId, userId));
    return row!;
  };

  describe('changed by their owner', () => {
    it('end every other session at once, and renew this one', async () => {
      await app.addUser(root, 'changes');
      const [mine, elsewhere] = [await app.login('changes'), await other.login('changes')];
      const answer = await change(mine.body['access_token'] as string);
      expect(answer).toMatchObject({ status: 200, body: { token_type: 'bearer', user_id_login: 'changes' } });
      expect(await me(answer.body['access_token'], other)).toBe(200);
      for (const { body } of [mine, elsewhere]) {
        expect([await me(body['access_token'], other), await me(body['access_token'])]).toEqual([401, 401]);
      }
      expect((await refresh(elsewhere.body['refresh_token'])).status).toBe(401);
      expect((await refresh(mine.body['refresh_token'])).status).toBe(409);
      expect((await refresh(answer.body['refresh_token'], other)).status).toBe(200);
      expect([(await app.login('changes')).status, (await app.login('changes', NEW)).status]).toEqual([401, 200]);
    });

    it('need the current password, and change nothing when it is wrong', async () => {
      const { token } = await app.addUser(root, 'mistypes');
      const before = await stored('mistypes');
      expect(await change(token, { current_password: 'wrong' })).toMatchObject({
        status: 422,
        body: { code: 'WRONG_PASSWORD', errors: [{ path: 'current_password' }] },
      });
      expect((await change(token, { current_password: 'x'.repeat(1025) })).status).toBe(400);
      expect([await me(token), await stored('mistypes')]).toEqual([200, before]);
    });

    it('cannot be guessed with a stolen session, because attempts count like logins', async () => {
      const limited = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url, limiter: {} });
      const token = (await limited.initialize()).body['access_token'] as string;
      const body = { current_password: 'wrong', new_password: NEW };
      const answers: Answer[] = [];
      for (let i = 0; i < 12; i++) answers.push(await limited.call('PUT', '/api/auth/password', body, token));
      expect(answers.map(({ status }) => status)).toEqual([...Array<number>(10).fill(422), 429, 429]);
      await limited.close();
    });

    it('keep API keys valid unless revoke_keys is set', async () => {
      const { token } = await app.addUser(root, 'has_keys');
      const made = await app.call('POST', '/api/auth/keys', { name: 'x', scopes: ['read'] }, token);
      const first = await change(token);
      expect(await me(made.body['key'])).toBe(200);
      const body = { current_password: NEW, new_password: PASSWORD, revoke_keys: true };
      expect((await change(first.body['access_token'] as string, body)).status).toBe(200);
      expect(await me(made.body['key'])).toBe(401);
    });

    it('leave one refresh token, the new one, also when others are refreshed meanwhile', async () => {
      await app.addUser(root, 'races');
      let current = await app.login('races');
      for (let round = 0, [now, next] = [PASSWORD, NEW]; round < 25; round++, [now, next] = [next, now]) {
        const body = { current_password: now, new_password: next };
        const [changed, ...refreshed] = await Promise.all([
          change(current.body['access_token'] as string, body),
          ...Array.from({ length: 6 }, async (_, i) => {
            // Spread over the time that hashing twice takes, so that some come before, some during the transaction.
            await new Promise((resolve) => setTimeout(resolve, i * 9));
            return refresh(current.body['refresh_token'], i % 2 ? app : other);
          }),
        ]);
        expect(changed.status).toBe(200);
        for (const answer of refreshed) {
          expect([200, 401, 409]).toContain(answer.status);
          if (answer.status !== 200) continue;
          expect(await me(answer.body['access_token'])).toBe(401);
          expect((await refresh(answer.body['refresh_token'])).status).toBe(409);
        }
        expect(await me(changed.body['access_token'], other)).toBe(200);
        current = changed;
      }
      expect((await refresh(current.body['refresh_token'])).status).toBe(200);
    });

    it('changed by two requests at once are changed once', async () => {
      const { token } = await app.addUser(root, 'twice');
      const answers = await Promise.all([change(token), change(token, { new_password: 'something else' })]);
      expect(counted(answers)).toEqual({ 200: 1, 401: 1 });
      expect((await stored('twice')).tokenVersion).toBe(1);
    });
  });

  describe('that are refused', () => {
    it('are refused by every route that sets one, with the rule and without the password', async () => {
      const { id, token } = await app.addUser(root, 'particular');
      const fresh = await AuthApp.start({ databaseUrl: (await server.createDatabase()).url });
      for (const [password, rule] of [
        ['Password123', 'common'],
        ['particular1', 'context'],
      ] as const) {
        const user = { user_id: 'particular', username: 'Another name', password };
        const answers: [Answer, string][] = [
          [await fresh.initialize({ user_id: 'particular', password }), 'password'],
          [await app.call('POST', '/api/auth/users', user, root), 'password'],
          [await app.call('PUT', `/api/auth/users/${id}`, { password }, root), 'password'],
          [await change(token, { new_password: password }), 'new_password'],
        ];
        for (const [answer, field] of answers) {
          expect(answer).toMatchObject(refusedAs(field, rule));
          expect(JSON.stringify(answer.body)).not.toContain(password);
        }
      }
      await fresh.close();
      expect(await me(token)).toBe(200);
    });

    it('are checked with the user name of the same request', async () => {
      const { id } = await app.addUser(root, 'renamed');
      const body = { username: 'Bartholomew', password: 'bartholomew7' };
      expect(await app.call('PUT', `/api/auth/users/${id}`, body, root)).toMatchObject(
        refusedAs('password', 'context'),
      );
    });

    it('cannot be set for oneself without the current password', async () => {
      const { id } = (await app.call('GET', '/api/auth/me', undefined, root)).body;
      const answer = await app.call('PUT', `/api/auth/users/${String(id)}`, { password: NEW }, root);
      expect(answer).toMatchObject({ status: 403, body: { detail: expect.stringContaining('/api/auth/password') } });
    });
  });

  it('are compared exactly: spaces, case and every byte', async () => {
    const long = `  ${'ä'.repeat(40)} Z`;
    const user = { user_id: 'exact', username: 'x', password: long };
    expect((await app.call('POST', '/api/auth/users', user, root)).status).toBe(201);
    const others = [long.trim(), long.toLowerCase(), long.normalize('NFD'), long.slice(0, -1), `${long} `];
    for (const password of others) expect((await app.login('exact', password)).status).toBe(401);
    expect((await app.login('exact', long)).status).toBe(200);
  });

  it('A15 that are too long are refused before anything is hashed', async () => {
    const verify = jest.spyOn(app.app.get(Passwords), 'verify');
    for (const length of [1025, 16_000]) expect((await app.login('root', 'x'.repeat(length))).status).toBe(400);
    expect((await app.login('root', 'x'.repeat(17_000))).status).toBe(413);
    expect(verify).not.toHaveBeenCalled();
    verify.mockRestore();
  });

  describe('with hashes of other software', () => {
    it.each<[string, () => string | Promise<string>]>([
      ['legacy', () => legacyHash(PASSWORD, 'a1b2c3d4e5f6')],
      ['one_pass', () => hash(PASSWORD, { algorithm: 2, memoryCost: 19_456, timeCost: 1, parallelism: 1 })],
      ['small', () => hash(PASSWORD, { algorithm: 2, memoryCost: 8192, timeCost: 2, parallelism: 1 })],
      ['argon2i', () => hash(PASSWORD, { algorithm: 1, memoryCost: 19_456, timeCost: 2, parallelism: 1 })],
    ])('%s: accepted once, then hashed again', async (userId, make) => {
      const { token } = await app.addUser(root, userId);
      const old = await make();
      await store(userId, old);
      expect((await app.login(userId, 'wrong')).status).toBe(401);
      expect((await stored(userId)).passwordHash).toBe(old);
      expect((await app.login(userId)).status).toBe(200);
      expect((await stored(userId)).passwordHash).toMatch(STRONG);
      expect([(await app.login(userId)).status, (await app.login(userId, 'wrong')).status]).toEqual([200, 401]);
      // The password is the same, so the session continues.
      expect(await me(token)).toBe(200);
    });

    it('are kept when the hash is as strong as a new one, or stronger', async () => {
      await app.addUser(root, 'stronger');
      const strong = await hash(PASSWORD, { algorithm: 2, memoryCost: 47_104, timeCost: 3, parallelism: 1 });
      await store('stronger', strong);
      expect((await app.login('stronger')).status).toBe(200);
      expect((await stored('stronger')).passwordHash).toBe(strong);
    });

    it('of the legacy API match no other password, and no malformed hash', async () => {
      await app.addUser(root, 'odd_hash');
      const good = legacyHash(PASSWORD, 'salt');
      for (const odd of [good.toUpperCase(), `${good.slice(0, 63)}:salt`, good.replace(':salt', ':'), `x${good}`]) {
        await store('odd_hash', odd);
        expect([200, 201]).not.toContain((await app.login('odd_hash')).status);
      }
      await store('odd_hash', good);
      expect((await app.login('odd_hash', `${PASSWORD}salt`)).status).toBe(401);
      expect((await app.login('odd_hash')).status).toBe(200);
    });
  });
});
