import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { OptionsError } from '@yuxi/core';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import {
  captureLog,
  scriptsSent,
  type Replica,
  replica,
  scriptAt,
} from '../../../test/support/limiter/limiter.fixture.js';
import type { LimitPolicy } from './policies/policy.js';
import { PolicyBook } from './policies/policy-book.js';

const POLICIES: LimitPolicy[] = [
  { name: 'ten', limit: 10, window: '1m' },
  { name: 'two', limit: 2, window: '1m' },
  { name: 'brief', limit: 2, window: 300 },
  { name: 'many', limit: 1000, window: '1m' },
  { name: 'sent', limit: 2, window: '1m', broadcast: true },
  { name: 'watch', limit: 1, window: '1m', dryRun: true },
  { name: 'block', limit: 2, window: 200, block: { base: 300, factor: 3, max: '10s' } },
  { name: 'delay', limit: 2, window: '1h', delay: { base: 100, factor: 2, max: 300 } },
];

const live = (limit: number): LimitPolicy[] => [{ name: 'live', limit, window: '1m' }];
const consume = ({ limiter }: Replica, policy: string, key: string, cost?: number) =>
  limiter.consume([{ policy, key, ...(cost && { cost }) }]);
const allowed = async (tries: Promise<{ allowed: boolean }>[]) =>
  (await Promise.all(tries)).filter((decision) => decision.allowed).length;

describe('LimiterService on Redis', () => {
  let server: RedisServer;
  let pods: Replica[];
  let a: Replica;
  let b: Replica;
  let serial = 0;
  /** A new key for each test. */
  const newKey = () => `client-${serial++}`;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    pods = await Promise.all([1, 2, 3].map(() => replica({ url: server.url }, { policies: POLICIES })));
    [a, b] = pods as [Replica, Replica];
  });
  afterAll(async () => {
    await Promise.all(pods.map(({ app }) => app.close()));
    await server.stop();
  });

  it('logs no outage when its application shuts down', async () => {
    const lines = captureLog();
    const one = await replica({ url: server.url });
    const degraded = jest.spyOn(one.link.metrics, 'degraded');
    const ended = once(one.link.scripts.client, 'end');
    await one.app.close();
    await ended;
    expect(degraded).not.toHaveBeenCalled();
    expect(lines.filter((line) => !line.startsWith('log '))).toEqual([]);
  });

  it.each(['ten', 'many'])('allows exactly the limit of a flood from three replicas: policy %s', async (policy) => {
    const [key, times] = [newKey(), policy === 'ten' ? 1000 : 3000];
    const tries = Array.from({ length: times }, (_, i) => consume(pods[i % 3]!, policy, key));
    expect(await allowed(tries)).toBe(policy === 'ten' ? 10 : 1000);
  });

  it('answers for each limit with the time until the next attempt', async () => {
    const key = newKey();
    const first = await a.limiter.consume([
      { policy: 'ten', key, cost: 3 },
      { policy: 'two', key },
    ]);
    expect(first).toMatchObject({ allowed: true, source: 'redis', retryAfterMs: 0 });
    expect(first.id).toMatch(/^[\w-]{6}\.[0-9a-z]+$/);
    const usual = { allowed: true, windowMs: 60_000, dryRun: false, resetMs: 60_000, retryAfterMs: 0 };
    expect(first.limits).toEqual([
      { ...usual, policy: 'ten', limit: 10, remaining: 7 },
      { ...usual, policy: 'two', limit: 2, remaining: 1 },
    ]);
    await consume(b, 'two', key);
    const refused = await a.limiter.consume([
      { policy: 'ten', key },
      { policy: 'two', key },
    ]);
    expect(refused.allowed).toBe(false);
    expect(refused.limits.map((limit) => [limit.allowed, limit.remaining])).toEqual([
      [true, 7],
      [false, 0],
    ]);
    expect(refused.retryAfterMs).toBeGreaterThan(55_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000);
    expect(await a.limiter.inspect('ten', key)).toMatchObject({ used: 3, remaining: 7, source: 'redis' });
  });

  it('sends one script for all limits of a request, and one for all requests of a turn', async () => {
    const key = newKey();
    const hits = ['ten', 'many', 'sent'].map((policy) => ({ policy, key }));
    expect(await scriptsSent(a, () => a.limiter.consume(hits))).toBe(1);
    expect(await scriptsSent(a, () => Promise.all(Array.from({ length: 16 }, () => consume(a, 'ten', newKey()))))).toBe(
      1,
    );
  });

  it('writes nothing when it refuses', async () => {
    const key = newKey();
    await allowed([consume(a, 'two', key), consume(a, 'two', key)]);
    const [redisKey, other] = [`yuxi:limit:{two:${key}}`, `yuxi:limit:{ten:${key}}`];
    const before = [await a.redis.dump(redisKey), await a.redis.pexpiretime(redisKey)];
    const hits = ['ten', 'two'].map((policy) => ({ policy, key }));
    expect(await allowed(pods.map(({ limiter }) => limiter.consume(hits)))).toBe(0);
    expect([await a.redis.dump(redisKey), await a.redis.pexpiretime(redisKey)]).toEqual(before);
    expect(await a.redis.exists(other)).toBe(0);
  });

  it('frees each hit when its window ends, not earlier and not all at once', async () => {
    const key = newKey();
    await consume(a, 'brief', key);
    await eventually(async () => expect((await a.limiter.inspect('brief', key)).resetMs).toBeLessThan(250));
    await consume(a, 'brief', key);
    const { retryAfterMs } = await consume(a, 'brief', key);
    expect(retryAfterMs).toBeLessThan(250);
    await eventually(async () => expect((await consume(a, 'brief', key)).allowed).toBe(true), { every: 5 });
    expect((await consume(a, 'brief', key)).allowed).toBe(false);
  });

  it('refunds the hits of a decision once', async () => {
    const key = newKey();
    const hits = ['ten', 'two'].map((policy) => ({ policy, key }));
    const decisions = [await a.limiter.consume(hits), await a.limiter.consume(hits)];
    expect((await b.limiter.consume(hits)).allowed).toBe(false);
    expect(await a.limiter.refund(decisions[0]!)).toBe(true);
    expect(await a.limiter.refund(decisions[0]!)).toBe(false);
    expect(await a.limiter.inspect('ten', key)).toMatchObject({ used: 1 });
    // B has cached the refusal. The refund ends it there at once.
    await eventually(async () => expect((await b.limiter.consume(hits)).allowed).toBe(true), { every: 1 });
    expect((await a.limiter.consume(hits)).allowed).toBe(false);
    await expect(a.limiter.refund({ ...decisions[1]! })).rejects.toBeInstanceOf(OptionsError);
  });

  it('counts a penalty, also over the limit', async () => {
    const key = newKey();
    expect(await a.limiter.penalty('ten', key, 12)).toMatchObject({ remaining: 0, allowed: false });
    expect((await consume(a, 'ten', key)).allowed).toBe(false);
    expect(await a.limiter.inspect('ten', key)).toMatchObject({ used: 12, remaining: 0 });
  });

  it('counts for a policy with dryRun, and never refuses', async () => {
    const key = newKey();
    const hits = ['watch', 'two'].map((policy) => ({ policy, key }));
    expect(await allowed([1, 2].map(() => a.limiter.consume(hits)))).toBe(2);
    expect(await a.limiter.inspect('watch', key)).toMatchObject({ used: 1 });
    const decision = await a.limiter.consume([{ policy: 'watch', key }]);
    expect(decision).toMatchObject({ allowed: true, retryAfterMs: 0 });
    expect(decision.limits[0]).toMatchObject({ allowed: false, remaining: 0 });
  });

  it('repeats the refusal of a full key without Redis, until another process resets the key', async () => {
    const key = newKey();
    await allowed([1, 2, 3].map(() => consume(a, 'two', key)));
    const sent = await scriptsSent(a, async () => {
      for (let i = 0; i < 20; i++)
        expect(await consume(a, 'two', key)).toMatchObject({ allowed: false, source: 'denial-cache' });
    });
    expect(sent).toBe(0);
    expect((await consume(a, 'two', key)).limits[0]).toMatchObject({ remaining: 0, limit: 2 });
    expect(await b.limiter.reset('two', key)).toBe(true);
    await eventually(async () => expect((await consume(a, 'two', key)).allowed).toBe(true), { every: 1, timeout: 500 });
  });

  it('applies its own reset, refund and block before it answers', async () => {
    const key = newKey();
    for (let i = 0; i < 20; i++) {
      const decisions = await Promise.all([1, 2, 3].map(() => consume(a, 'two', key)));
      expect(decisions.map((decision) => decision.allowed)).toEqual([true, true, false]);
      await a.limiter.refund(decisions[0]!);
      expect((await consume(a, 'two', key)).allowed).toBe(true);
      expect((await consume(a, 'two', key)).allowed).toBe(false);
      await a.limiter.reset('two', key);
    }
  });

  it('blocks a key manually in all processes at once', async () => {
    const key = newKey();
    expect((await consume(b, 'ten', key)).allowed).toBe(true);
    expect(await a.limiter.block('ten', key, '5m')).toBe(true);
    const refused = await consume(a, 'ten', key);
    expect(refused.allowed).toBe(false);
    expect(refused.retryAfterMs).toBeGreaterThan(299_000);
    await eventually(async () => expect(await consume(b, 'ten', key)).toMatchObject({ source: 'denial-cache' }));
    await b.limiter.reset('ten', key);
    await eventually(async () => expect((await consume(a, 'ten', key)).allowed).toBe(true), { every: 1 });
  });

  it('sends a full key to other processes only when the policy broadcasts', async () => {
    const [sent, plain] = [newKey(), newKey()];
    await allowed([1, 2].flatMap(() => [consume(a, 'sent', sent), consume(a, 'two', plain)]));
    await eventually(async () => {
      const scripts = await scriptsSent(a, async () => {
        expect(await consume(b, 'sent', sent)).toMatchObject({ allowed: false, source: 'denial-cache' });
      });
      expect(scripts).toBe(0);
    });
    expect(await consume(b, 'two', plain)).toMatchObject({ allowed: false, source: 'redis' });
  });

  it('blocks for longer each time', async () => {
    const key = newKey();
    const waits: number[] = [];
    for (let round = 0; round < 3; round++) {
      await eventually(async () => expect((await consume(a, 'block', key)).allowed).toBe(true), { every: 5 });
      await consume(a, 'block', key);
      waits.push((await consume(a, 'block', key)).retryAfterMs);
    }
    expect(waits.map((wait) => Math.round(wait / 100))).toEqual([3, 9, 27]);
  });

  it('delays each hit beyond the limit longer, and a refund also removes its delay', async () => {
    const key = newKey();
    await consume(a, 'delay', key);
    const second = await consume(a, 'delay', key);
    expect(second.allowed).toBe(true);
    expect((await consume(b, 'delay', key)).retryAfterMs).toBeLessThanOrEqual(100);
    await eventually(async () => expect((await consume(a, 'delay', key)).allowed).toBe(true), { every: 5 });
    const refused = await consume(b, 'delay', key);
    expect(refused.retryAfterMs).toBeGreaterThan(100);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(200);
    const third = await eventually(async () => {
      const decision = await consume(a, 'delay', key);
      return decision.allowed && decision;
    });
    expect((await a.limiter.inspect('delay', key)).retryAfterMs).toBeGreaterThan(200);
    await a.limiter.refund(third as Awaited<ReturnType<typeof consume>>);
    expect((await consume(a, 'delay', key)).allowed).toBe(true);
  });

  it('uses overriding policies from the next call on, and keeps the present ones when a new one is invalid', async () => {
    await using pod = await replica({ url: server.url }, { policies: live(1) });
    const policies = pod.app.get(PolicyBook);
    const key = newKey();
    expect(await allowed([1, 2, 3].map(() => consume(pod, 'live', key)))).toBe(1);
    await eventually(async () => expect(await consume(pod, 'live', key)).toMatchObject({ source: 'denial-cache' }));
    for (const [limit, more] of [
      [3, 2],
      [200, 197],
      [100, 0],
    ] as const) {
      policies.override(live(limit));
      expect(await allowed(Array.from({ length: 200 }, () => consume(pod, 'live', key)))).toBe(more);
    }
    expect(() => policies.override(live(0))).toThrow(OptionsError);
    expect((await consume(pod, 'live', key)).limits[0]).toMatchObject({ limit: 100, allowed: false });
  });

  it('repairs a key without a TTL and a key with a foreign value', async () => {
    const key = newKey();
    const redisKey = `yuxi:limit:{two:${key}}`;
    await consume(a, 'two', key);
    await a.redis.persist(redisKey);
    await consume(a, 'two', key);
    expect(await a.redis.pttl(redisKey)).toBeGreaterThan(0);
    for (const value of ['garbage', 'x'.repeat(38), '0', '1', '2', '']) {
      await a.redis.set(`yuxi:limit:{ten:${key}}`, value);
      expect(await consume(a, 'ten', key)).toMatchObject({ allowed: true, source: 'redis' });
      expect(await a.redis.pttl(`yuxi:limit:{ten:${key}}`)).toBeGreaterThan(0);
    }
  });

  it('refuses no key for longer than a window when the clock of the server is set back', async () => {
    const run = scriptAt(['hits', 'policy', 'consume'], a.redis);
    const ask = async (now: number) =>
      ((await run(now, ['yuxi:limit:{0:back}'], ['abcdef', '1 2,60000'])) as [number | number[]])[0];
    const start = 1_750_000_000_000;
    expect([await ask(start), await ask(start)]).toEqual([1, 2]);
    const hourBefore = start - 3_600_000;
    expect(await ask(hourBefore)).toEqual([0, 2, 60_000_000, 60_000_000]);
    expect(await ask(hourBefore + 59_999)).toEqual([0, 2, 1000, 1000]);
    expect(await ask(hourBefore + 60_000)).toBe(1);
  });
});
