import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { FIRST_ADMINISTRATOR } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { type Fleet, startFleet } from '../support/fleet.js';
import { forgiveHere, tally, wrongLogins } from '../support/api/logins.js';
import { redisIs } from '../support/api/readiness.js';
import { size } from '../support/size.js';
import { sendRaw } from '../support/api/wire.js';

const COUNTER = 'yuxi:login_attempts:127.0.0.1';
const MINUTES = 60_000;

describe('wrong logins spread over three replicas', () => {
  let fleet: Fleet;
  let redis: Redis;
  beforeAll(async () => {
    fleet = await startFleet();
    redis = new Redis(fleet.redis.url, { disconnectTimeout: 100 });
    redis.on('error', () => undefined);
  }, MINUTES);
  let names = 0;
  let username = '';
  beforeEach(async () => {
    // A new name, because the account of the test before has to wait.
    username = `unknown_${++names}`;
    await forgiveHere(fleet.apis[0]!, fleet.token);
  });
  afterAll(async () => {
    redis?.disconnect();
    await fleet?.stop();
  }, MINUTES);

  it(
    'A3, A7 of 15 at once 10 are checked and 5 refused with a waiting time',
    async () => {
      for (let round = 0; round < size(2, 20); round++) {
        await forgiveHere(fleet.apis[0]!, fleet.token);
        const answers = await wrongLogins(fleet.apis, 15, { username: `round_${round}` });
        expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
        for (const { headers, body } of answers.filter(({ status }) => status === 429)) {
          expect(body.detail).toBe('登录尝试过于频繁，请稍后再试');
          expect(headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
        }
      }
    },
    MINUTES,
  );

  it('are counted under the key and in the format that other systems read', async () => {
    await wrongLogins(fleet.apis, 15, { username });
    expect(await redis.keys('yuxi:login_attempts:*')).toEqual([COUNTER]);
    expect(await redis.type(COUNTER)).toBe('string');
    expect(await redis.get(COUNTER)).toBe('10');
    const left = await redis.pttl(COUNTER);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  it('are refused after another system has counted ten', async () => {
    await redis.set(COUNTER, 10, 'EX', 60);
    expect(tally(await wrongLogins(fleet.apis, 3, { username }))).toEqual({ 429: 3 });
  });

  it('A4 are not helped by a forged X-Forwarded-For', async () => {
    const answers = await wrongLogins(fleet.apis, 15, {
      username,
      headers: (i) => ({ 'x-forwarded-for': `203.0.113.${i}` }),
    });
    expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
    expect(await redis.keys('yuxi:login_attempts:*')).toEqual([COUNTER]);
  });

  it('A1 do not prevent a login with the right password, as JSON and as an OAuth2 form', async () => {
    const { user_id: name, password } = FIRST_ADMINISTRATOR;
    for (const body of [
      { json: { username: name, password } },
      { form: { username: name, password, grant_type: 'password' } },
    ])
      expect(await fleet.apis[1]!.post('/api/auth/token', body)).toMatchObject({
        status: 200,
        body: { access_token: expect.any(String), token_type: 'bearer' },
      });
  });

  it('A5 are not helped by any other header with an address', async () => {
    const forged: ((n: number) => Record<string, string>)[] = [
      (n) => ({ forwarded: `for=203.0.113.${n}` }),
      (n) => ({ 'x-real-ip': `203.0.113.${n}` }),
      (n) => ({ 'cf-connecting-ip': `203.0.113.${n}` }),
      (n) => ({ 'true-client-ip': `203.0.113.${n}` }),
      (n) => ({ 'x-client-ip': `203.0.113.${n}` }),
      (n) => ({ 'x-forwarded-for': `1.1.1.${n}, 2.2.2.${n}` }),
      (n) => ({ 'x-forwarded-for': `::ffff:203.0.113.${n}` }),
      (n) => ({ 'x-forwarded-for': `203.0.113.${n}:4711` }),
      (n) => ({ 'x-forwarded-for': Array.from({ length: 700 }, () => `203.0.113.${n}`).join(',') }),
    ];
    const headers = (n: number) => forged[n % forged.length]!(n);
    expect(tally(await wrongLogins(fleet.apis, 18, { username, headers }))).toEqual({ 401: 10, 429: 8 });
    expect(await redis.keys('yuxi:login_attempts:*')).toEqual([COUNTER]);
  });

  it('A5 are not helped by two X-Forwarded-For headers', async () => {
    const body = `username=${username}&password=wrong`;
    const twice = (n: number) =>
      sendRaw(
        fleet.replicas[n % 3]!,
        `POST /api/auth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.${n}\r\nX-Forwarded-For: 198.51.100.${n}\r\n` +
          `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    const answers = await Promise.all(Array.from({ length: 15 }, (_, n) => twice(n)));
    expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
  });

  it.each([
    ['/api/auth/token/'],
    ['//api/auth/token'],
    ['/api/AUTH/token'],
    ['/api/auth/token;x'],
    ['/api/auth/%74oken'],
    ['/api/auth/token?'],
    ['/api/auth/./token'],
  ])('A10 are counted, or the path is not found, when sent to %s', async (path) => {
    const json = { username, password: 'wrong' };
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => fleet.apis[i % 3]!.post(path, { json })));
    const counts = tally(answers);
    if (counts[404]) expect(counts).toEqual({ 404: 12 });
    else expect(counts).toEqual({ 401: 10, 429: 2 });
  });

  it('A11 are only counted with the method POST', async () => {
    const client = fleet.apis[0]!;
    const override = { 'x-http-method-override': 'POST' };
    for (const verb of ['get', 'put', 'patch', 'del'] as const)
      for (const headers of [{}, override])
        expect([404, 405]).toContain((await client[verb]('/api/auth/token', { headers })).status);
    for (const method of ['HEAD', 'OPTIONS'])
      expect([404, 405]).toContain((await fetch(`${fleet.replicas[0]!.baseUrl}/api/auth/token`, { method })).status);
    expect(await redis.exists(COUNTER)).toBe(0);
  });

  it(
    'A12 of 1,000 at once at most ten are checked',
    async () => {
      const counts = tally(await wrongLogins(fleet.apis, 1000, { username }));
      expect(counts).toEqual({ 401: 10, 429: 990 });
    },
    MINUTES,
  );

  // Last, because it stops Redis.
  it('A13 are limited by shares when Redis stops, including attempts from before', async () => {
    expect(tally(await wrongLogins(fleet.apis, 6, { username }))).toEqual({ 401: 6 });
    await fleet.redis.kill();
    await redisIs(fleet, 'degraded', 10_000);
    const answers = await wrongLogins(fleet.apis, 30, { username: 'another' });
    const counts = tally(answers);
    expect(Object.keys(counts).sort()).toEqual(['401', '429']);
    // Each of the three replicas has a third of ten, rounded up, minus the attempts from before.
    expect(counts[401]).toBeLessThanOrEqual(12 - 6);
    for (const { headers } of answers.filter(({ status }) => status === 429))
      expect(headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
    // The words that this route serves for local counters.
    const { body } = await fleet.apis[0]!.get<{ counted_by: string; limits: { source: string }[] }>(
      '/api/system/limits?key=127.0.0.1',
      { token: fleet.token },
    );
    expect(body.counted_by).toBe('local');
    expect(body.limits.map(({ source }) => source)).toContain('shadow');
  });
});
