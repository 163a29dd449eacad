import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ApiClient, Replica } from '@yuxi/testing';
import { type Account, addAccount, USER_PASSWORD } from '../support/api/accounts.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { forgiveHere } from '../support/api/logins.js';
import { sendRaw } from '../support/api/wire.js';

const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

let fleet: Fleet;
let here: ApiClient;
let there: ApiClient;

beforeAll(async () => {
  fleet = await startFleet({ replicas: 2 });
  [here, there] = fleet.apis as [ApiClient, ApiClient];
}, 60_000);
// Resets the counts, so that one test does not affect the next.
beforeEach(() => forgiveHere(here, fleet.token));
afterAll(async () => {
  await fleet?.stop();
}, 60_000);

const first = (): Replica => fleet.replicas[0]!;
const admin = () => fleet.token;
const statusOf = async (token: string, client = there) => (await client.get('/api/auth/me', { token })).status;

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

const ask = (lines: string) =>
  sendRaw(first(), `GET /api/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`);

const update = (user: Account, change: object) =>
  here.put(`/api/auth/users/${user.id}`, { json: change, token: admin() });
const asUser = (user: Account, change: object) => ({ json: change, token: user.access_token });

describe('J3 a token that names a remote key', () => {
  it('is refused, and the key is not requested', async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked += 1;
      response.end('{"keys":[]}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    const [, payload, signature] = admin().split('.');
    for (const header of [{ jku: url }, { x5u: url }, { kid: url }, { jku: url, kid: '1', alg: 'RS256' }])
      expect(await statusOf([part({ alg: 'HS256', typ: 'JWT', ...header }), payload, signature].join('.'))).toBe(401);
    expect(asked).toBe(0);
    expect((await fetch(url)).status).toBe(200);
    expect(asked).toBe(1);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('J6 a token is invalid on every replica once', () => {
  const json = { current_password: USER_PASSWORD, new_password: 'another password' };
  it.each<[what: string, name: string, act: (user: Account) => Promise<{ status: number }>]>([
    ['its user is deleted', 'deleted', (user) => here.del(`/api/auth/users/${user.id}`, { token: admin() })],
    ['an administrator sets a password', 'reset', (user) => update(user, { password: 'another password' })],
    ['the role changes', 'promoted', (user) => update(user, { role: 'admin' })],
    ['the user changes the password', 'changes', (user) => here.put('/api/auth/password', asUser(user, json))],
    ['the user logs out', 'leaves', (user) => here.post('/api/auth/logout', asUser(user, {}))],
    [
      'the user logs out everywhere',
      'leaves_all',
      (user) => here.post('/api/auth/logout', asUser(user, { everywhere: true })),
    ],
  ])('%s', async (_what, name, act) => {
    const user = await addAccount(here, admin(), name);
    expect([await statusOf(user.access_token, here), await statusOf(user.access_token)]).toEqual([200, 200]);
    expect((await act(user)).status).toBe(200);
    expect([await statusOf(user.access_token), await statusOf(user.access_token, here)]).toEqual([401, 401]);
    const { status } = await there.post('/api/auth/refresh', { json: { refresh_token: user.refresh_token } });
    // 409 where the session continues with newer tokens.
    expect(status).toBe(name === 'changes' ? 409 : 401);
  });

  it('the user logs out while Redis is unavailable', async () => {
    const user = await addAccount(here, admin(), 'no_redis');
    await fleet.redis.kill();
    try {
      expect((await here.post('/api/auth/logout', asUser(user, {}))).status).toBe(200);
      expect(await statusOf(user.access_token)).toBe(401);
    } finally {
      await fleet.redis.restart();
    }
  });
});

describe('J7 an unusual Authorization header', () => {
  it.each<[string, () => string, number[]]>([
    ['two, both good', () => `Authorization: Bearer ${admin()}\r\nAuthorization: Bearer ${admin()}\r\n`, [401]],
    ['two, the second bad', () => `Authorization: Bearer ${admin()}\r\nauthorization: Bearer x\r\n`, [401]],
    ['two in one', () => `Authorization: Bearer ${admin()}, Bearer ${admin()}\r\n`, [401]],
    // Schemes are case-insensitive (RFC 9110, 11.1).
    ['the scheme in lower case', () => `authorization: bearer ${admin()}\r\n`, [200]],
    ['no scheme', () => `Authorization: ${admin()}\r\n`, [401]],
    ['another scheme', () => `Authorization: Basic ${admin()}\r\n`, [401]],
    ['two spaces', () => `Authorization: Bearer  ${admin()}\r\n`, [401]],
    ['bytes beyond ASCII', () => `Authorization: Bearer ${admin()}é\r\n`, [401]],
    ['8 KB', () => `Authorization: Bearer ${'a'.repeat(8192)}.b.c\r\n`, [401]],
    // The server closes the connection of such a request, which may overtake its response.
    ['64 KB', () => `Authorization: Bearer ${'a'.repeat(65_536)}.b.c\r\n`, [431, 0]],
    ['a key of 8 KB', () => `Authorization: Bearer yxkey_${'a'.repeat(8192)}\r\n`, [401]],
  ])('%s', async (_what, lines, statuses) => {
    const { status, body } = await ask(lines());
    expect(statuses).toContain(status);
    if (status >= 400) expect(body).toMatchObject(problem);
  });
});
