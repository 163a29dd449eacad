import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { schema } from '@yuxi/storage';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { AuthApp, counted, PASSWORD } from '../../test/auth-app.js';

const SECRET = 'k3yk3yk3y-0123456789-abcdefghijklmnop';
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function sign(header: object, payload: object, secret: string, hash = 'sha256'): string {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

describe('tokens', () => {
  let server: PostgresServer;
  let url: string;
  let app: AuthApp;
  let good: Record<string, unknown>;
  const HEADER = { alg: 'HS256', typ: 'JWT' };
  const statusOf = async (token: string) => {
    const answer = await app.call('GET', '/api/auth/me', undefined, token);
    if (answer.status === 401)
      expect(answer.body['detail']).toBe('Log in first: the token is missing or no longer valid');
    return answer.status;
  };

  beforeAll(async () => {
    server = await startPostgres();
    ({ url } = await server.createDatabase());
    app = await AuthApp.start({ databaseUrl: url, auth: { jwtSecret: SECRET } });
    const { body } = await app.initialize();
    good = JSON.parse(
      Buffer.from((body['access_token'] as string).split('.').at(1) ?? '', 'base64url').toString(),
    ) as typeof good;
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  it('carry what is promised and nothing else', () => {
    const now = Math.floor(Date.now() / 1000);
    expect(good).toEqual({
      sub: expect.stringMatching(/^\d+$/),
      token_version: 0,
      iss: 'yuxi',
      aud: 'yuxi-know-api',
      iat: expect.any(Number),
      exp: (good['iat'] as number) + 7 * 86_400,
    });
    expect(Math.abs((good['iat'] as number) - now)).toBeLessThan(60);
  });

  it('control: the same claims signed right are let in', async () => {
    expect(await statusOf(sign(HEADER, good, SECRET))).toBe(200);
  });

  it('are refused when forged, malformed or out of time', async () => {
    const now = Math.floor(Date.now() / 1000);
    const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
    const tokens: Record<string, string> = {
      garbage: 'x',
      'two parts': `${part(HEADER)}.${part(good)}`,
      empty: '..',
      'not JSON': 'YQ.YQ.YQ',
      ...Object.fromEntries(
        ['none', 'None', 'nOnE'].map((alg) => [alg, `${part({ alg, typ: 'JWT' })}.${part(good)}.`]),
      ),
      'none with a signature': sign({ alg: 'none', typ: 'JWT' }, good, SECRET),
      'another secret': sign(HEADER, good, 'secret'),
      'the default secret of the founding system': sign(HEADER, good, 'yuxi_know_secure_key'),
      'empty secret': sign(HEADER, good, ''),
      HS512: sign({ alg: 'HS512', typ: 'JWT' }, good, SECRET, 'sha512'),
      'RS256 in name': sign({ alg: 'RS256', typ: 'JWT' }, good, SECRET),
      kid: sign({ ...HEADER, kid: '../../dev/null' }, good, SECRET),
      jku: sign({ ...HEADER, jku: 'http://127.0.0.1:9/' }, good, SECRET),
      crit: sign({ ...HEADER, crit: ['x'], x: 1 }, good, SECRET),
      'another type': sign({ alg: 'HS256', typ: 'refresh+jwt' }, good, SECRET),
      expired: sign(HEADER, { ...good, exp: now - 1 }, SECRET),
      'not yet': sign(HEADER, { ...good, nbf: now + 600 }, SECRET),
      'made in the future': sign(HEADER, { ...good, iat: now + 600 }, SECRET),
      'no end': sign(HEADER, without('exp'), SECRET),
      'end as a text': sign(HEADER, { ...good, exp: String(now + 600) }, SECRET),
      'end in a million years': sign(HEADER, { ...good, exp: 2 ** 53 }, SECRET),
      'another issuer': sign(HEADER, { ...good, iss: 'x' }, SECRET),
      'another audience': sign(HEADER, { ...good, aud: 'x' }, SECRET),
      'no subject': sign(HEADER, without('sub'), SECRET),
      'odd subject': sign(HEADER, { ...good, sub: '1 or 1=1' }, SECRET),
      'number beyond the column': sign(HEADER, { ...good, sub: '9999999999' }, SECRET),
      'unknown user': sign(HEADER, { ...good, sub: '4711' }, SECRET),
      'no version': sign(HEADER, without('token_version'), SECRET),
      'version beyond the column': sign(HEADER, { ...good, token_version: 2 ** 40 }, SECRET),
      'another version': sign(HEADER, { ...good, token_version: 1 }, SECRET),
      'far too long': sign(HEADER, { ...good, x: 'x'.repeat(9000) }, SECRET),
    };
    const let_in = [];
    for (const [name, token] of Object.entries(tokens)) {
      const status = await statusOf(token);
      if (status !== 401) let_in.push(`${name}: ${status}`);
    }
    expect(let_in).toEqual([]);
  });

  it('are read from one header Authorization: Bearer only', async () => {
    const token = sign(HEADER, good, SECRET);
    const ask = async (authorization: string) =>
      (await app.app.inject({ url: '/api/auth/me', headers: { authorization } })).statusCode;
    expect(await ask(`bearer ${token}`)).toBe(200);
    for (const header of [token, `Basic ${token}`, `Bearer  ${token}`, `Bearer ${token} x`, 'Bearer', ''])
      expect(await ask(header)).toBe(401);
    expect((await app.call('GET', `/api/auth/me?access_token=${token}`)).status).toBe(401);
  });

  it('need a secret of 32 bytes, whose value no error repeats', async () => {
    const start = AuthApp.start({ databaseUrl: url, auth: { jwtSecret: 'short-secret' } });
    await expect(start).rejects.toThrow(/jwtSecret must be at least 32 bytes/);
    await expect(start).rejects.not.toThrow(/short-secret/);
  });

  it('are signed with a key made once for all replicas when none is given', async () => {
    const databaseUrl = (await server.createDatabase()).url;
    const [one, two] = await Promise.all([AuthApp.start({ databaseUrl }), AuthApp.start({ databaseUrl })]);
    const { body } = await one.initialize();
    expect((await two.call('GET', '/api/auth/me', undefined, body['access_token'] as string)).status).toBe(200);
    const kept = await one.database.select().from(schema.settings);
    expect(kept).toMatchObject([{ value: expect.stringMatching(/^[\w-]{64}$/) }]);
    await Promise.all([one.close(), two.close()]);
  });

  it('initialize asks for the setup token when there is one', async () => {
    const guarded = await AuthApp.start({
      databaseUrl: (await server.createDatabase()).url,
      auth: { setupToken: 'open sesame' },
    });
    const body = { user_id: 'root', password: PASSWORD };
    for (const setup_token of [undefined, '', 'open', 'open sesame!'])
      expect(await guarded.initialize({ ...body, setup_token })).toMatchObject({
        status: 403,
        body: { code: 'FORBIDDEN' },
      });
    expect((await guarded.initialize({ ...body, setup_token: 'open sesame' })).status).toBe(200);
    await guarded.close();
  });

  it('logins are counted before the password is looked at, and only guesses stay counted', async () => {
    const limited = await AuthApp.start({ databaseUrl: url, auth: { jwtSecret: SECRET }, limiter: {} });
    for (let index = 0; index < 12; index += 1) {
      expect((await limited.login('root')).status).toBe(200);
      expect((await limited.call('POST', '/api/auth/token', { username: 'root' })).status).toBe(400);
    }
    const answers = await Promise.all(Array.from({ length: 15 }, () => limited.login('test', 'wrong')));
    expect(counted(answers)).toEqual({ 401: 10, 429: 5 });
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.body).toMatchObject({ detail: '登录尝试过于频繁，请稍后再试', code: 'TOO_MANY_ATTEMPTS' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect((await limited.login('root')).status).toBe(429);
    await limited.close();
  });
});
