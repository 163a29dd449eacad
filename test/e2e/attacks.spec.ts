import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ApiClient, eventually, type Replica } from '@yuxi/testing';
import { addAccount, type TokenAnswer, USER_PASSWORD } from '../support/api/accounts.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { forgiveHere } from '../support/api/logins.js';
import { answerBeforeBody, send } from '../support/api/wire.js';

const TICKS_PER_SECOND = 100;
const problem = { detail: expect.any(String), code: expect.any(String), request_id: expect.any(String) };

let fleet: Fleet;
let here: ApiClient;
let there: ApiClient;

beforeAll(async () => {
  fleet = await startFleet({ replicas: 2, env: () => ({ LOG_LEVEL: 'trace' }) });
  [here, there] = fleet.apis as [ApiClient, ApiClient];
}, 60_000);
// Resets the counts, so that one test does not affect the next.
beforeEach(() => forgiveHere(here, fleet.token));
afterAll(async () => {
  await fleet?.stop();
}, 60_000);

const first = (): Replica => fleet.replicas[0]!;
const admin = () => fleet.token;
const logs = () => fleet.replicas.flatMap((replica) => replica.logs);
const login = (username: unknown, password: unknown = USER_PASSWORD) =>
  here.post<TokenAnswer>('/api/auth/token', { json: { username, password } });

/** A JSON object of so many keys. */
const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')}}`;

/** Processor time of the first replica so far, milliseconds. */
const spent = () => {
  const fields = readFileSync(`/proc/${first().pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
};

describe('A14 a user name that is', () => {
  it.each<[string, unknown, number]>([
    ['a megabyte', 'x'.repeat(1024 * 1024), 413],
    ['17 KiB', 'x'.repeat(17 * 1024), 413],
    ['15 KiB', 'x'.repeat(15 * 1024), 400],
    ['NUL', 'root\0', 400],
    ['two lines', 'root\n{"level":"info","message":"Listening on http://forged"}\r\nforged', 401],
    ['an escape of the terminal', 'root\u001b[2Jforged', 401],
    ['emoji', '😀'.repeat(60), 401],
    ['SQL', `' or 1=1--`, 401],
    ['LDAP', '*)(uid=*))(|(uid=*', 401],
    ['an operator', { $ne: null }, 400],
    ['a list', ['root_admin'], 400],
    ['null', null, 400],
  ])('%s', async (_what, username, status) => {
    const answer = await login(username, 'wrong');
    expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body: problem });
    expect((await here.get('/health/live')).status).toBe(200);
  });

  it('forges no log line, and is in none', () => {
    for (const line of logs()) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) });
    expect(logs().filter((line) => /forged|1=1|uid=|😀/.test(line))).toEqual([]);
    // The attempts themselves are in it.
    expect(logs().filter((line) => line.includes('Login refused: no such user')).length).toBeGreaterThan(3);
  });
});

describe('A15 a password', () => {
  it('is compared to its last byte', async () => {
    const long = 'x'.repeat(72);
    await addAccount(here, admin(), 'long_one', { password: `${long}the end` });
    expect((await login('long_one', long)).status).toBe(401);
    expect((await login('long_one', `${long}another`)).status).toBe(401);
    expect((await login('long_one', `${long}the end`)).status).toBe(200);
  });

  it('of a megabyte is refused within 50 ms of processor time', async () => {
    const password = 'x'.repeat(1_000_000);
    const before = spent();
    for (let i = 0; i < 20; i++) expect((await login('root_admin', password)).status).toBe(413);
    const each = (spent() - before) / 20;
    console.info(`A15: ${each.toFixed(1)} ms of processor time for a password of 1 MB`);
    expect(each).toBeLessThan(50);
  });
});

describe('A17 a body of a client without a token', () => {
  const json = { 'content-type': 'application/json' };
  const status = async (method: string, path: string, headers = {}) =>
    (await answerBeforeBody(first(), { method, path, headers: { ...json, ...headers }, length: 900_000 })).status;

  it('is refused before it is read, on every route', async () => {
    for (const authorization of ['', 'Bearer yxkey_none', `Bearer ${admin().slice(0, -4)}AAAA`])
      expect(await status('POST', '/api/knowledge/databases', { authorization })).toBe(401);
    expect(await status('PUT', '/api/auth/profile')).toBe(401);
    expect(await status('DELETE', '/api/knowledge/databases/x/documents/batch')).toBe(401);
    expect(await status('POST', '/api/none')).toBe(404);
    expect(await status('POST', '/api/auth/token')).toBe(413);
    expect(await status('POST', '/api/knowledge/files/upload?db_id=x', { 'content-type': 'multipart/form-data' })).toBe(
      401,
    );
  });

  it('of 80,000 keys is refused within 30 ms of processor time', async () => {
    const body = keys(80_000);
    const ask = () => send(first(), { path: '/api/knowledge/databases', headers: json, body });
    await ask();
    const before = spent();
    for (let i = 0; i < 20; i++) expect((await ask()).status).toBe(401);
    const each = (spent() - before) / 20;
    console.info(`A17: ${each.toFixed(1)} ms of processor time for ${body.length} bytes`);
    expect(each).toBeLessThan(30);
  });

  it('may have at most 16 KiB and 32 values on routes that need no token', async () => {
    for (const path of ['/api/auth/token', '/api/auth/refresh', '/api/auth/initialize']) {
      expect((await send(first(), { path, headers: json, body: keys(2000) })).status).toBe(413);
      expect((await send(first(), { path, headers: json, body: keys(40) })).status).toBe(413);
      expect((await send(first(), { path, headers: json, body: keys(20) })).status).toBe(400);
    }
  });
});

describe('A16 a password in an unsafe place', () => {
  const secret = 'S3cret-in-the-open';
  const body = { username: 'root_admin', password: secret };

  it('is not accepted from the query string', async () => {
    const query = `username=root_admin&password=${secret}`;
    expect((await here.get(`/api/auth/token?${query}`)).status).toBe(404);
    expect((await here.post(`/api/auth/token?${query}`)).status).toBe(400);
    expect((await here.post(`/api/auth/token?${query}`, { json: {} })).status).toBe(400);
    const token = encodeURIComponent(admin());
    expect((await here.get(`/api/auth/me?access_token=${token}`)).status).toBe(401);
  });

  it('is in no log line of any level, and neither is a token', async () => {
    const made = { user_id: 'open_one', username: 'x', password: secret };
    await here.post('/api/auth/users', { json: made, token: admin() });
    await login('open_one', secret);
    await login('open_one', `${secret}!`);
    await login(secret, secret);
    await here.post('/api/auth/token', { form: body });
    await send(first(), {
      path: '/api/auth/token',
      headers: { 'content-type': 'application/json' },
      body: `{"${secret}`,
    });
    await send(first(), { path: '/api/auth/token', headers: { 'content-type': 'text/plain' }, body: secret });
    const { body: tokens } = await login('open_one', secret);
    const json = { refresh_token: tokens.refresh_token };
    await here.post('/api/auth/refresh', { json });
    await here.post('/api/auth/refresh', { json });
    const key = await here.post<{ key: string }>('/api/auth/keys', {
      json: { name: 'k', scopes: ['read'] },
      token: tokens.access_token,
    });
    expect((await there.get('/api/auth/me', { token: key.body.key })).status).toBe(200);
    const text = logs().join('\n');
    for (const hidden of [secret, tokens.access_token, tokens.refresh_token, key.body.key, admin()])
      expect(text).not.toContain(hidden);
    const dump = await fleet.sql<{ row: string }>(
      `SELECT a::text AS row FROM audit_events a UNION ALL SELECT s::text FROM sessions s
       UNION ALL SELECT r::text FROM refresh_tokens r UNION ALL SELECT k::text FROM api_keys k`,
    );
    expect(dump.length).toBeGreaterThan(5);
    for (const hidden of [secret, tokens.refresh_token, key.body.key.slice(11)])
      expect(JSON.stringify(dump)).not.toContain(hidden);
  });
});

describe('an action of an administrator', () => {
  it('is in the audit log, on whichever replica it happens', async () => {
    const headers = { 'x-request-id': 'audited-1' };
    const json = { key: 'final_top_k', value: 7 };
    expect((await here.post('/api/system/config', { json, token: admin(), headers })).status).toBe(200);
    const made = await here.post<{ id: number; key: string }>('/api/auth/keys', {
      json: { name: 'operator', scopes: ['write'] },
      token: admin(),
    });
    const lock = await there.del('/api/system/locks/index_a_b', { token: made.body.key });
    expect(lock).toMatchObject({ status: 200, body: { released: false } });
    const events = await eventually(
      async () => {
        const { body } = await there.get<{ events: { action: string }[] }>('/api/system/audit', { token: admin() });
        const found = body.events.filter(({ action }) => /^(settings|lock)\./.test(action));
        return found.length === 2 && found;
      },
      { describe: 'both events' },
    );
    const me = { actor_id: expect.any(Number), outcome: 'ok', client_address: '127.0.0.1' };
    expect(events).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...me,
          action: 'lock.release',
          target: 'lock:index_a_b',
          details: { released: false, key: made.body.id },
        }),
        expect.objectContaining({
          ...me,
          action: 'settings.change',
          request_id: 'audited-1',
          details: { changed: ['final_top_k'], revision: expect.any(Number) },
        }),
      ]),
    );
    const metrics = await first().metrics();
    expect(metrics).toMatch(/^yuxi_audit_events_total\{result="written"\} [1-9]/m);
    expect(metrics).toMatch(/^yuxi_audit_events_total\{result="lost"\} 0$/m);
  });
});
