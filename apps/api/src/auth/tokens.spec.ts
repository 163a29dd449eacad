import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { schema } from '@yuxi/storage';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { AuthApp, counted, PASSWORD } from '../../../../test/support/api/auth-app.js';

const SECRET = 'k3yk3yk3y-0123456789-abcdefghijklmnop';
const PUBLIC_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
  type: 'spki',
  format: 'pem',
}) as string;
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function sign(header: object, payload: object, secret: string, hash = 'sha256'): string {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

function claimsOf(token: unknown): Record<string, unknown> {
  const [, payload = ''] = (token as string).split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
}

describe('tokens', () => {
  let server: PostgresServer;
  let url: string;
  let app: AuthApp;
  let good: Record<string, unknown>;
  /** Session of another user. */
  let foreign: unknown;
  const HEADER = { alg: 'HS256', typ: 'JWT' };
  const statusOf = async (token: string) => {
    const answer = await app.call('GET', '/api/auth/me', undefined, token);
    if (answer.status === 401) expect(answer.body['detail']).toBe('The token is missing or no longer valid: log in');
    return answer.status;
  };

  beforeAll(async () => {
    server = await startPostgres();
    ({ url } = await server.createDatabase());
    app = await AuthApp.start({ databaseUrl: url, auth: { jwtSecret: SECRET } });
    const { body } = await app.initialize();
    good = claimsOf(body['access_token']);
    foreign = claimsOf((await app.addUser(body['access_token'] as string, 'stranger')).token)['sid'];
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  it('have the documented claims and no others', () => {
    const now = Math.floor(Date.now() / 1000);
    expect(good).toEqual({
      sub: expect.stringMatching(/^\d+$/),
      token_version: 0,
      sid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      iss: 'yuxi',
      aud: 'yuxi-know-api',
      iat: expect.any(Number),
      exp: (good['iat'] as number) + 900,
    });
    expect(Math.abs((good['iat'] as number) - now)).toBeLessThan(60);
  });

  it('control: the same claims with a valid signature are accepted', async () => {
    expect(await statusOf(sign(HEADER, good, SECRET))).toBe(200);
  });

  const now = Math.floor(Date.now() / 1000);
  const claiming = (claims: object) => sign(HEADER, { ...good, ...claims }, SECRET);
  const without = (name: string) =>
    sign(HEADER, Object.fromEntries(Object.entries(good).filter(([key]) => key !== name)), SECRET);
  const headed = (header: object, secret = SECRET, hash = 'sha256') =>
    sign({ ...HEADER, ...header }, good, secret, hash);
  /** A server that a token may name as the source of its key. */
  const elsewhere = 'http://127.0.0.1:9/';

  it.each<[row: string, what: string, token: () => string]>([
    ['J1', 'alg none', () => `${part({ alg: 'none', typ: 'JWT' })}.${part(good)}.`],
    ['J1', 'alg None', () => `${part({ alg: 'None', typ: 'JWT' })}.${part(good)}.`],
    ['J1', 'alg nOnE', () => `${part({ alg: 'nOnE', typ: 'JWT' })}.${part(good)}.`],
    ['J1', 'alg none with a signature', () => headed({ alg: 'none' })],
    ['J1', 'no alg', () => headed({ alg: undefined })],
    ['J2', 'the secret "secret"', () => headed({}, 'secret')],
    ['J2', 'the default secret of the legacy API', () => headed({}, 'yuxi_know_secure_key')],
    ['J2', 'an empty secret', () => headed({}, '')],
    ['J2', 'a public key as secret', () => headed({}, PUBLIC_KEY)],
    ['J2', 'HS512', () => headed({ alg: 'HS512' }, SECRET, 'sha512')],
    ['J2', 'RS256 in the header only', () => headed({ alg: 'RS256' })],
    ['J3', 'kid that is a path', () => headed({ kid: '../../dev/null' })],
    ['J3', 'kid that is a path, signed with the content of that file', () => headed({ kid: '../../dev/null' }, '')],
    ['J3', 'kid that is SQL', () => headed({ kid: "x' UNION SELECT 'secret' --" })],
    ['J3', 'kid that is a URL', () => headed({ kid: elsewhere })],
    ['J3', 'jku', () => headed({ jku: elsewhere })],
    ['J3', 'x5u', () => headed({ x5u: elsewhere })],
    ['J3', 'jwk', () => headed({ jwk: { kty: 'oct', k: Buffer.from('secret').toString('base64url') } }, 'secret')],
    ['J3', 'crit', () => headed({ crit: ['x'], x: 1 })],
    ['J4', 'expired', () => claiming({ exp: now - 1 })],
    ['J4', 'not yet valid', () => claiming({ nbf: now + 600 })],
    ['J4', 'issued in the future', () => claiming({ iat: now + 600 })],
    ['J4', 'no expiry', () => without('exp')],
    ['J4', 'expiry as a text', () => claiming({ exp: String(now + 600) })],
    ['J4', 'expiry in a million years', () => claiming({ exp: 2 ** 53 })],
    ['J4', 'expiry later than that of any issued token', () => claiming({ exp: now + 86_400 })],
    ['J4', 'no time of issue', () => without('iat')],
    ['J5', 'another type', () => headed({ typ: 'refresh+jwt' })],
    ['J5', 'another issuer', () => claiming({ iss: 'x' })],
    ['J5', 'no issuer', () => without('iss')],
    ['J5', 'another audience', () => claiming({ aud: 'x' })],
    ['J5', 'no audience', () => without('aud')],
    ['also', 'garbage', () => 'x'],
    ['also', 'two parts', () => `${part(HEADER)}.${part(good)}`],
    ['also', 'empty', () => '..'],
    ['also', 'not JSON', () => 'YQ.YQ.YQ'],
    ['also', 'no subject', () => without('sub')],
    ['also', 'malformed subject', () => claiming({ sub: '1 or 1=1' })],
    ['also', 'user id outside the range of the column', () => claiming({ sub: '9999999999' })],
    ['also', 'unknown user', () => claiming({ sub: '4711' })],
    ['also', 'no version', () => without('token_version')],
    ['also', 'version outside the range of the column', () => claiming({ token_version: 2 ** 40 })],
    ['also', 'another version', () => claiming({ token_version: 1 })],
    ['also', 'no session', () => without('sid')],
    ['also', 'malformed session', () => claiming({ sid: "x' or 1=1" })],
    ['also', 'a session that does not exist', () => claiming({ sid: randomUUID() })],
    ['also', 'the session of another user', () => claiming({ sid: foreign })],
    ['J7', 'far too long', () => claiming({ x: 'x'.repeat(9000) })],
  ])('%s are refused: %s', async (_row, _what, token) => {
    expect(await statusOf(token())).toBe(401);
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

  it('need a secret of 32 bytes, whose value is in no error', async () => {
    const start = AuthApp.start({ databaseUrl: url, auth: { jwtSecret: 'short-secret' } });
    await expect(start).rejects.toThrow(/jwtSecret must be at least 32 bytes/);
    await expect(start).rejects.not.toThrow(/short-secret/);
  });

  it('are signed with a key that is generated once for all replicas when none is configured', async () => {
    const databaseUrl = (await server.createDatabase()).url;
    const [one, two] = await Promise.all([AuthApp.start({ databaseUrl }), AuthApp.start({ databaseUrl })]);
    const { body } = await one.initialize();
    expect((await two.call('GET', '/api/auth/me', undefined, body['access_token'] as string)).status).toBe(200);
    const kept = await one.database.select().from(schema.settings);
    expect(kept).toMatchObject([{ value: expect.stringMatching(/^[\w-]{64}$/) }]);
    await Promise.all([one.close(), two.close()]);
  });

  it('of the first administrator need the setup token when one is configured', async () => {
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
    const { body: made, status } = await guarded.initialize({ ...body, setup_token: 'open sesame' });
    expect(status).toBe(200);
    const refused = async () => {
      const query = 'action=user.create&limit=10';
      const { body: page } = await guarded.call(
        'GET',
        `/api/system/audit?${query}`,
        undefined,
        made['access_token'] as string,
      );
      return (page['events'] as { outcome: string }[]).filter(({ outcome }) => outcome === 'refused');
    };
    await eventually(async () => (await refused()).length === 4, { describe: 'the attempts to be in the audit log' });
    await guarded.close();
  });

  it('logins are counted before the password is checked, and only wrong guesses stay counted', async () => {
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
