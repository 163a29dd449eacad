import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { STORAGE_DRIVER } from '@yuxi/storage';
import { AuthApp, counted, PASSWORD, type Answer } from '../../../../test/support/api/auth-app.js';
import { SessionSweeper } from './auth.module.js';

const refreshOf = ({ body }: Answer) => body['refresh_token'] as string;
const accessOf = ({ body }: Answer) => body['access_token'] as string;

describe('sessions', () => {
  let server: PostgresServer;
  let app: AuthApp;
  let other: AuthApp;
  let sql: SqlClient;
  let session: Answer;

  beforeAll(async () => {
    server = await startPostgres();
    const databaseUrl = (await server.createDatabase()).url;
    [app, other] = [await AuthApp.start({ databaseUrl }), await AuthApp.start({ databaseUrl })];
    sql = app.app.get<SqlClient>(SQL_CLIENT);
    await app.initialize();
  });
  beforeEach(async () => {
    session = await app.login('root');
  });
  afterAll(async () => {
    await Promise.all([app?.close(), other?.close()]);
    await server?.stop();
  });

  const refresh = (token: unknown, at = app) => at.call('POST', '/api/auth/refresh', { refresh_token: token });
  const me = async (token: string, at = app) => (await at.call('GET', '/api/auth/me', undefined, token)).status;
  const logout = (token: string, body?: object) => app.call('POST', '/api/auth/logout', body, token);
  /** Simulates that time has passed since the tokens were used. */
  const age = (seconds: number) =>
    sql.query(`UPDATE refresh_tokens SET used_at = used_at - $1 * interval '1 s'`, [seconds]);

  it('continue with a refresh token, whose response has the same fields as a login', async () => {
    const next = await refresh(refreshOf(session), other);
    expect(next).toMatchObject({ status: 200, body: { token_type: 'bearer', expires_in: 900, user_id_login: 'root' } });
    expect(Object.keys(next.body).sort()).toEqual(Object.keys(session.body).sort());
    expect(refreshOf(next)).not.toBe(refreshOf(session));
    expect([await me(accessOf(next)), await me(accessOf(session))]).toEqual([200, 200]);
    expect((await refresh(refreshOf(next))).status).toBe(200);
  });

  it('end when a refresh token is used again, and other sessions do not', async () => {
    const bystander = await app.login('root');
    const second = await refresh(refreshOf(session));
    const third = await refresh(refreshOf(second), other);
    await age(11);
    // The oldest token, not only the previous one.
    expect(await refresh(refreshOf(session))).toMatchObject({ status: 401, body: { code: 'UNAUTHORIZED' } });
    for (const answer of [session, second, third]) {
      expect([await me(accessOf(answer)), await me(accessOf(answer), other)]).toEqual([401, 401]);
      expect((await refresh(refreshOf(answer))).status).toBe(401);
    }
    expect(await me(accessOf(bystander))).toBe(200);
    const found = await eventually(
      async () => {
        const { rows } = await sql.query(`SELECT * FROM audit_events WHERE action = 'refresh.reuse'`);
        return rows.length > 0 && rows;
      },
      { describe: 'the reuse to be in the audit log' },
    );
    expect(found).toMatchObject([{ outcome: 'refused', target: `user:${String(session.body['user_id'])}` }]);
  });

  it('continue when a refresh token is used again within 10 s, but it is refused', async () => {
    const next = await refresh(refreshOf(session));
    await age(9);
    const again = await refresh(refreshOf(session), other);
    expect(again).toMatchObject({ status: 409, body: { code: 'REFRESH_SUPERSEDED' } });
    expect(JSON.stringify(again.body)).not.toMatch(/yxref_|access_token/);
    expect(await me(accessOf(next))).toBe(200);
    expect((await refresh(refreshOf(next))).status).toBe(200);
  });

  it('accept one of 20 requests with the same refresh token, on two replicas', async () => {
    for (let round = 0, token = refreshOf(session); round < 10; round++) {
      const calls = Array.from({ length: 20 }, (_, i) => refresh(token, i % 2 ? app : other));
      const answers = await Promise.all(calls);
      expect(counted(answers)).toEqual({ 200: 1, 409: 19 });
      token = refreshOf(answers.find(({ status }) => status === 200)!);
    }
  });

  it('control: a token that is read first and marked used afterwards is accepted several times', async () => {
    const token = Buffer.from(refreshOf(session));
    const useUp = async () => {
      const { rows } = await sql.query('SELECT used_at FROM refresh_tokens WHERE hash = sha256($1)', [token]);
      if (rows[0]!['used_at'] !== null) return false;
      await sql.query('UPDATE refresh_tokens SET used_at = now() WHERE hash = sha256($1)', [token]);
      return true;
    };
    const winners = await Promise.all(Array.from({ length: 8 }, useUp));
    expect(winners.filter(Boolean).length).toBeGreaterThan(1);
  });

  it.each<[string, () => unknown, number]>([
    ['nothing', () => undefined, 400],
    ['a number', () => 5, 400],
    ['a word', () => 'yxref_short', 401],
    ['one never issued', () => `yxref_${'A'.repeat(43)}`, 401],
    ['another prefix', () => refreshOf(session).replace('yxref_', 'yxkey_'), 401],
    ['an access token', () => accessOf(session), 401],
    ['a space after it', () => `${refreshOf(session)} `, 401],
  ])('are not refreshed by %s', async (_name, token, status) => {
    expect((await refresh(token())).status).toBe(status);
  });

  it('J5 a refresh token is not accepted as an access token', async () => {
    expect(await me(refreshOf(session))).toBe(401);
  });

  it('J6 end with a logout on every replica at once', async () => {
    const bystander = await app.login('root');
    expect(await logout(accessOf(session))).toMatchObject({ status: 200, body: { message: 'logged out' } });
    expect([await me(accessOf(session), other), await me(accessOf(session))]).toEqual([401, 401]);
    expect((await refresh(refreshOf(session), other)).status).toBe(401);
    expect((await logout(accessOf(session))).status).toBe(401);
    expect(await me(accessOf(bystander), other)).toBe(200);
  });

  it('J6 all end with a logout everywhere', async () => {
    const bystander = await app.login('root');
    expect((await logout(accessOf(session), { everywhere: true })).status).toBe(200);
    for (const answer of [session, bystander]) {
      expect(await me(accessOf(answer), other)).toBe(401);
      expect((await refresh(refreshOf(answer))).status).toBe(401);
    }
    expect((await app.login('root')).status).toBe(200);
  });

  it('J6 end with a new password or role set by an administrator, refresh tokens too', async () => {
    const user = { user_id: 'someone', username: 'x', password: PASSWORD };
    const made = await app.call('POST', '/api/auth/users', user, accessOf(session));
    const change = (body: object) =>
      app.call('PUT', `/api/auth/users/${String(made.body['id'])}`, body, accessOf(session));
    for (const body of [{ role: 'admin' }, { password: 'another password' }]) {
      const login = await app.login('someone');
      expect((await change(body)).status).toBe(200);
      expect(await me(accessOf(login), other)).toBe(401);
      expect((await refresh(refreshOf(login), other)).status).toBe(401);
    }
  });

  it('end at their maximum age, however often they were refreshed', async () => {
    const next = await refresh(refreshOf(session));
    await sql.query(`UPDATE sessions SET expires_at = now() - interval '1 ms' WHERE ended_at IS NULL`);
    expect(await me(accessOf(next))).toBe(401);
    expect((await refresh(refreshOf(next))).status).toBe(401);
  });

  it('are stored with hashes of their tokens only', async () => {
    const { rows } = await sql.query<{ dump: string }>(
      `SELECT string_agg(t::text, ' ') AS dump FROM (SELECT s::text FROM sessions s
       UNION ALL SELECT r::text FROM refresh_tokens r UNION ALL SELECT a::text FROM audit_events a) AS t`,
    );
    const secret = refreshOf(session).slice('yxref_'.length);
    expect(rows[0]!.dump).not.toContain(secret);
    expect(rows[0]!.dump).not.toContain(Buffer.from(secret).toString('hex'));
  });

  it('need one statement for each request', async () => {
    const { $client: pool } = app.app.get<{ db: { $client: { query: () => unknown; connect: () => unknown } } }>(
      STORAGE_DRIVER,
    ).db;
    const [query, connect] = [jest.spyOn(pool, 'query'), jest.spyOn(pool, 'connect')];
    const answer = await app.call('POST', '/api/probe/echo', { hello: 1 }, accessOf(session));
    expect(answer.status).toBe(201);
    expect([query.mock.calls.length, connect.mock.calls.length]).toEqual([1, 1]);
    query.mockRestore();
    connect.mockRestore();
  });

  it('are removed after their end, in portions, and no others', async () => {
    const kept = await app.login('root');
    const { rows } = await sql.query<{ n: number }>(
      `WITH old AS (INSERT INTO sessions (user_id, token_version, expires_at)
         SELECT $1, 0, now() - interval '1 s' FROM generate_series(1, 2500) RETURNING id)
       INSERT INTO refresh_tokens (hash, session_id) SELECT sha256(id::text::bytea), id FROM old RETURNING 1 AS n`,
      [session.body['user_id']],
    );
    expect(rows).toHaveLength(2500);
    await sql.query(`UPDATE sessions SET ended_at = now() - interval '25 h' WHERE ended_at IS NOT NULL`);
    const removed = await Promise.all([app, other].map(({ app: each }) => each.get(SessionSweeper).sweep()));
    expect(removed[0]! + removed[1]!).toBeGreaterThanOrEqual(2500);
    const left = await sql.query(
      `SELECT FROM sessions WHERE expires_at < now() OR ended_at IS NOT NULL
       UNION ALL SELECT FROM refresh_tokens WHERE session_id NOT IN (SELECT id FROM sessions)`,
    );
    expect(left.rows).toEqual([]);
    expect(await me(accessOf(kept))).toBe(200);
  });
});
