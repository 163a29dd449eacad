import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { type Fleet, startFleet } from '../support/fleet.js';
import { forgiveHere, tally, wrongLogins } from '../support/logins.js';
import { redisIs } from '../support/readiness.js';
import { size } from '../support/size.js';

const COUNTER = 'yuxi:login_attempts:127.0.0.1';
const MINUTES = 60_000;

describe('wrong logins spread over three replicas', () => {
  let fleet: Fleet;
  let redis: Redis;
  beforeAll(async () => {
    fleet = await startFleet();
    redis = new Redis(fleet.redis.url);
    redis.on('error', () => undefined);
  }, MINUTES);
  let names = 0;
  let username = '';
  beforeEach(async () => {
    // Whoever was guessed at before would have to wait by now.
    username = `nobody_${++names}`;
    await forgiveHere(fleet.apis[0]!, fleet.token);
  });
  afterAll(async () => {
    redis?.disconnect();
    await fleet?.stop();
  }, MINUTES);

  it(
    '10 of 15 at once are looked at, 5 are told when to come back',
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

  it('are counted under the key, and in the form, that other systems read', async () => {
    await wrongLogins(fleet.apis, 15, { username });
    expect(await redis.keys('yuxi:login_attempts:*')).toEqual([COUNTER]);
    expect(await redis.type(COUNTER)).toBe('string');
    expect(await redis.get(COUNTER)).toBe('10');
    const left = await redis.pttl(COUNTER);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  it('are refused once another system has counted ten', async () => {
    await redis.set(COUNTER, 10, 'EX', 60);
    expect(tally(await wrongLogins(fleet.apis, 3, { username }))).toEqual({ 429: 3 });
  });

  it('gain nothing from a made-up X-Forwarded-For', async () => {
    const answers = await wrongLogins(fleet.apis, 15, {
      username,
      headers: (i) => ({ 'x-forwarded-for': `203.0.113.${i}` }),
    });
    expect(tally(answers)).toEqual({ 401: 10, 429: 5 });
    expect(await redis.keys('yuxi:login_attempts:*')).toEqual([COUNTER]);
  });

  // Last, because it takes Redis away.
  it('A13 are counted by shares, with what was counted before, when there is no Redis', async () => {
    expect(tally(await wrongLogins(fleet.apis, 6, { username }))).toEqual({ 401: 6 });
    await fleet.redis.kill();
    await redisIs(fleet, 'degraded', 10_000);
    const answers = await wrongLogins(fleet.apis, 30, { username: 'another' });
    const counts = tally(answers);
    expect(Object.keys(counts).sort()).toEqual(['401', '429']);
    // Each of the three has a third of ten, rounded up, for what all of them may have seen.
    expect(counts[401]).toBeLessThanOrEqual(12 - 6);
    for (const { headers } of answers.filter(({ status }) => status === 429))
      expect(headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
  });
});
