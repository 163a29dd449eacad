import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { type ApiClient, eventually } from '@yuxi/testing';
import { addAccount, USER_PASSWORD } from '../support/api/accounts.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { guessesWithin, HERE, tally, type LoginAnswer } from '../support/api/logins.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;

interface Limit {
  policy: string;
  used: number;
  retry_after_ms: number;
}

describe('limits over three replicas behind a proxy', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ env: () => ({ TRUSTED_PROXIES: HERE, YUXI_ACCESS_LOG: 'on' }) });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  const at = (index: number): ApiClient => fleet.apis[index % fleet.apis.length]!;
  const login = (
    index: number,
    from: string,
    username: string,
    password = 'wrong',
    cookie = '',
  ): Promise<LoginAnswer> =>
    at(index).post('/api/auth/token', {
      json: { username, password },
      headers: { 'x-forwarded-for': from, ...(cookie && { cookie }) },
    });
  const limits = async (key: string): Promise<Limit[]> => {
    const path = `/api/system/limits?key=${encodeURIComponent(key)}`;
    return (await at(0).get<{ limits: Limit[] }>(path, { token: fleet.token })).body.limits;
  };
  const limit = async (policy: string, key: string) => (await limits(key)).find((each) => each.policy === policy)!;

  it(
    'A9 guesses of many addresses at one account are slowed, and its owner on a known device can still log in',
    async () => {
      const addresses = size(100, 1000);
      const owner = await addAccount(at(0), fleet.token, 'owner');
      const first = await login(0, '198.51.100.1', 'owner', USER_PASSWORD);
      expect(first.status).toBe(200);
      const [cookie = ''] = first.headers.get('set-cookie')!.split(';');
      expect(first.headers.get('set-cookie')).toMatch(/; Path=\/api\/auth; .*HttpOnly; Secure; SameSite=Strict$/);

      const from = monotonicMs();
      const guesses = await Promise.all(
        Array.from({ length: addresses }, (_, i) => login(i, `10.1.${i >> 8}.${i & 255}`, 'owner')),
      );
      const counts = tally(guesses);
      expect(Object.keys(counts).sort()).toEqual(['401', '429']);
      expect(counts[401]).toBeGreaterThanOrEqual(10);
      expect(counts[401]).toBeLessThanOrEqual(guessesWithin(monotonicMs() - from));
      expect((await limit('login.account', `user:${owner.id}`)).used).toBeGreaterThanOrEqual(10);

      expect((await login(1, '203.0.113.99', 'owner', USER_PASSWORD, cookie)).status).toBe(200);
      // The login of the owner has reset the guesses of others at the account.
      expect((await limit('login.account', `user:${owner.id}`)).used).toBe(0);
    },
    2 * MINUTES,
  );

  it('A8 successful logins in between allow no more guesses at other accounts', async () => {
    const attacker = 'attacker';
    await addAccount(at(0), fleet.token, attacker);
    const from = '198.51.100.8';
    const guesses: LoginAnswer[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 9; i++) guesses.push(await login(i, from, 'root_admin'));
      await login(round, from, attacker, USER_PASSWORD);
    }
    expect(tally(guesses)[401]).toBe(10);
  });

  it('A6 two clients behind a proxy have separate limits, whatever they add to X-Forwarded-For', async () => {
    for (const client of ['198.51.100.20', '198.51.100.21']) {
      const answers = await Promise.all(
        Array.from({ length: 15 }, (_, i) => login(i, `192.0.2.${i}, ${client}`, `${client} ${i}`)),
      );
      expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
    }
  });

  it('a reset by an administrator takes effect on all replicas at once, and is in the audit log', async () => {
    const from = '198.51.100.30';
    await Promise.all(Array.from({ length: 15 }, (_, i) => login(i, from, `name ${i}`)));
    for (const index of [0, 1, 2]) expect((await login(index, from, 'name')).status).toBe(429);
    expect(await limit('login.address', from)).toMatchObject({ used: 10, retry_after_ms: expect.any(Number) });
    const path = `/api/system/limits/login.address/${from}`;
    expect((await at(1).del(path, { token: fleet.token })).body).toMatchObject({ everywhere: true });
    for (const index of [0, 1, 2])
      await eventually(async () => expect((await login(index, from, `other ${index}`)).status).toBe(401), {
        timeout: 1000,
      });
    await eventually(async () => {
      const answer = await at(2).get<{ events: { target: string }[] }>('/api/system/audit?action=limit.reset', {
        token: fleet.token,
      });
      expect(answer.body.events.map(({ target }) => target)).toContain(`limit:login.address:${from}`);
    });
    expect((await at(0).del('/api/system/limits/none/x', { token: fleet.token })).status).toBe(404);
    expect((await at(0).del(path)).status).toBe(401);
  });

  it('answers have the headers of the limit, and a blocked client is refused before its body is read', async () => {
    const from = '198.51.100.40';
    const refresh = (index: number) =>
      at(index).post('/api/auth/refresh', {
        json: { refresh_token: 'yxref_none' },
        headers: { 'x-forwarded-for': from },
      });
    const first = await refresh(0);
    expect(first.headers.get('ratelimit-policy')).toBe('"tokens";q=120;w=60');
    expect(first.headers.get('ratelimit')).toBe('"tokens";r=119;t=60');
    const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => refresh(i)));
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(31);
    const refused = await refresh(0);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({ code: 'RATE_LIMITED', request_id: expect.any(String) });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('the metrics report build, Redis, database, queues and response times, and the access log has each request', async () => {
    expect((await at(0).get('/api/tasks?limit=5&secret=hunter2', { token: fleet.token })).status).toBe(400);
    const replica = fleet.replicas[0]!;
    const text = await replica.metrics();
    for (const line of [
      /^yuxi_build_info\{version="[\d.]+",node="[\d.]+"\} 1$/m,
      /^yuxi_redis_up 1$/m,
      /^yuxi_degraded\{component="redis"\} 0$/m,
      /^yuxi_db_connections\{state="idle"\} \d+$/m,
      /^yuxi_db_waiting 0$/m,
      /^yuxi_queue_depth\{queue="[a-z]+"\} \d+$/m,
      /^yuxi_http_request_duration_seconds_count\{route="\/api\/tasks",method="GET",status="400"\} 1$/m,
    ])
      expect(text).toMatch(line);
    const lines = replica.logs.filter((line) => line.includes('"context":"Access"'));
    expect(lines.join('\n')).not.toContain('hunter2');
    const last = JSON.parse(lines.findLast((line) => line.includes('/api/tasks'))!) as object;
    const asked = { method: 'GET', path: '/api/tasks', status: 400, ms: expect.any(Number) };
    expect(last).toMatchObject({ ...asked, request_id: expect.any(String), message: 'GET /api/tasks 400' });
  });

  it('all requests of a user count together on all routes and replicas, up to the limit in the settings', async () => {
    const most = async (requests: number | null) => {
      const path = '/api/system/config?wait=10s';
      const options = { json: { requests_per_minute: requests }, token: fleet.token, headers: { 'if-match': '*' } };
      expect((await at(0).put(path, options)).body).toMatchObject({ converged: true });
    };
    const [busy, quiet] = [await addAccount(at(0), fleet.token, 'busy'), await addAccount(at(1), fleet.token, 'quiet')];
    const ask = (index: number, token?: string) => {
      const path = index % 2 ? '/api/tasks' : '/api/knowledge/databases';
      return at(index).get<{ code?: string }>(path, { token, headers: { 'x-forwarded-for': '198.51.100.50' } });
    };
    await most(20);
    try {
      const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(i, busy.access_token)));
      expect(tally(answers)).toEqual({ 200: 20, 429: 10 });
      const refused = await ask(1, busy.access_token);
      expect(refused.body).toMatchObject({
        code: 'RATE_LIMITED',
        detail: expect.stringMatching(/more than 20 in a minute/),
      });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      // Other users, probes and requests without a token do not count in this limit.
      expect((await ask(0, quiet.access_token)).status).toBe(200);
      for (let i = 0; i < 30; i++) expect((await at(i).get('/health/ready')).status).toBe(200);
      expect(tally(await Promise.all(Array.from({ length: 30 }, (_, i) => ask(i))))).toEqual({ 401: 30 });
    } finally {
      await most(null);
    }
    expect((await ask(0, busy.access_token)).status).toBe(200);
  });
});
