import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, replica, type Replica } from '../../../test/support/limiter/limiter.fixture.js';

const UNAVAILABLE = 'warn Redis unavailable, rate limiting will use in-memory fallback';
const ABSENT = UNAVAILABLE.replace('warn', 'log');
const CONNECTED = 'log Redis connected for rate limiting';

async function allowed({ login }: Replica, times: number): Promise<number> {
  const results = await Promise.allSettled(Array.from({ length: times }, () => login.reserveAttempt('198.51.100.1')));
  return results.filter(({ status }) => status === 'fulfilled').length;
}

describe('limits while Redis is unavailable', () => {
  let server: RedisServer;
  let lines: string[];
  const logged = () => lines.filter((line) => line === UNAVAILABLE || line === ABSENT || line === CONNECTED);

  beforeEach(async () => {
    lines = captureLog();
    server = await startRedis();
  });
  afterEach(() => server.stop());

  it('are shared by the replicas, log each change once, and still count after Redis returns', async () => {
    await using a = await replica({ url: server.url });
    expect(logged()).toEqual([CONNECTED]);
    await using b = await replica({ url: server.url });
    await eventually(() => a.link.replicas === 2 && b.link.replicas === 2, {
      describe: 'each replica to count the other',
    });
    lines.length = 0;
    await server.kill();
    await eventually(() => a.availability.state === 'down' && b.availability.state === 'down');
    expect([await allowed(a, 15), await allowed(b, 15)]).toEqual([5, 5]);
    expect(logged()).toEqual([UNAVAILABLE, UNAVAILABLE]);

    lines.length = 0;
    await server.restart();
    await eventually(() => a.availability.state === 'up' && b.availability.state === 'up');
    await eventually(() => expect(logged()).toEqual([CONNECTED, CONNECTED]));
    const [byA, byB] = await Promise.all([allowed(a, 15), allowed(b, 15)]);
    expect(byA + byB).toBe(0);
  });

  it('do not count a refunded attempt in memory', async () => {
    await using a = await replica({});
    expect(logged()).toEqual([ABSENT]);
    const one = await a.login.reserveAttempt('198.51.100.1');
    expect(await allowed(a, 15)).toBe(9);
    await one.refund();
    expect(await allowed(a, 15)).toBe(1);
    await expect(a.login.reserveAttempt('198.51.100.1')).rejects.toMatchObject({ retryAfterSeconds: 60 });
  });

  it('open the window again in memory as in Redis', async () => {
    await using a = await replica({}, { login: { limit: 2, window: 200 } });
    expect(await allowed(a, 5)).toBe(2);
    await eventually(async () => expect(await allowed(a, 5)).toBe(2));
  });

  it('answer within the command timeout when Redis hangs, then at once', async () => {
    const commandTimeout = 1000;
    await using a = await replica({ url: server.url, commandTimeout });
    server.pause();
    expect(await allowed(a, 5)).toBe(5);
    // A decision that asked Redis first would take as long as the timeout.
    const from = performance.now();
    expect(await allowed(a, 10)).toBe(5);
    expect(performance.now() - from).toBeLessThan(commandTimeout / 2);
    expect(await a.storage.increment('k', 1000, 1, 0, 'default')).toMatchObject({ totalHits: 1, isBlocked: false });
    expect(await a.storage.increment('k', 1000, 1, 0, 'default')).toMatchObject({ totalHits: 2, isBlocked: true });
    server.resume();
  });
});
