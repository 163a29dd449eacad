import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { OptionsError } from '@yuxi/core';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { Subject } from 'rxjs';
import {
  captureLog,
  scriptsSent,
  type Replica,
  replica,
  scriptAt,
} from '../../../test/support/limiter/limiter.fixture.js';
import type { LimitPolicy } from './policies/policy.js';

const POLICIES: LimitPolicy[] = [
  { name: 'ten', limit: 10, window: '1m' },
  { name: 'two', limit: 2, window: '1m' },
  { name: 'brief', limit: 2, window: 300 },
  { name: 'many', limit: 1000, window: '1m' },
  { name: 'told', limit: 2, window: '1m', broadcast: true },
  { name: 'watch', limit: 1, window: '1m', shadow: true },
  { name: 'block', limit: 2, window: 200, block: { base: 300, factor: 3, max: '10s' } },
  { name: 'delay', limit: 2, window: '1h', delay: { base: 100, factor: 2, max: 300 } },
];

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
  /** Each test counts for somebody else. */
  const someone = () => `client-${serial++}`;

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

  it('takes the end of its application for no outage', async () => {
    const lines = captureLog();
    const one = await replica({ url: server.url });
    const degraded = jest.spyOn(one.link.metrics, 'degraded');
    const ended = once(one.link.wire.client, 'end');
    await one.app.close();
    await ended;
    expect(degraded).not.toHaveBeenCalled();
    expect(lines.filter((line) => !line.startsWith('log '))).toEqual([]);
  });

  it.each(['ten', 'many'])('lets exactly the limit of a flood from three replicas pass: %s', async (policy) => {
    const [key, times] = [someone(), policy === 'ten' ? 1000 : 3000];
    const tries = Array.from({ length: times }, (_, i) => consume(pods[i % 3]!, policy, key));
    expect(await allowed(tries)).toBe(policy === 'ten' ? 10 : 1000);
  });

  it('answers for each limit and says when to come again', async () => {
    const key = someone();
    const first = await a.limiter.consume([
      { policy: 'ten', key, cost: 3 },
      { policy: 'two', key },
    ]);
    expect(first).toMatchObject({ allowed: true, source: 'redis', retryAfterMs: 0 });
    expect(first.id).toMatch(/^[\w-]{6}\.[0-9a-z]+$/);
    const usual = { allowed: true, windowMs: 60_000, shadow: false, resetMs: 60_000, retryAfterMs: 0 };
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

  it('asks once for all limits of a request, and once for all requests of a turn', async () => {
    const key = someone();
    const hits = ['ten', 'many', 'told'].map((policy) => ({ policy, key }));
    expect(await scriptsSent(a, () => a.limiter.consume(hits))).toBe(1);
    expect(
      await scriptsSent(a, () => Promise.all(Array.from({ length: 16 }, () => consume(a, 'ten', someone())))),
    ).toBe(1);
  });

  it('writes nothing for what it refuses', async () => {
    const key = someone();
    await allowed([consume(a, 'two', key), consume(a, 'two', key)]);
    const [redisKey, other] = [`yuxi:limit:{two:${key}}`, `yuxi:limit:{ten:${key}}`];
    const before = [await a.redis.dump(redisKey), await a.redis.pexpiretime(redisKey)];
    const hits = ['ten', 'two'].map((policy) => ({ policy, key }));
    expect(await allowed(pods.map(({ limiter }) => limiter.consume(hits)))).toBe(0);
    expect([await a.redis.dump(redisKey), await a.redis.pexpiretime(redisKey)]).toEqual(before);
    expect(await a.redis.exists(other)).toBe(0);
  });

  it('opens the window again, not earlier and not all at once', async () => {
    const key = someone();
    await consume(a, 'brief', key);
    await eventually(async () => expect((await a.limiter.inspect('brief', key)).resetMs).toBeLessThan(250));
    await consume(a, 'brief', key);
    const { retryAfterMs } = await consume(a, 'brief', key);
    expect(retryAfterMs).toBeLessThan(250);
    await eventually(async () => expect((await consume(a, 'brief', key)).allowed).toBe(true), { every: 5 });
    expect((await consume(a, 'brief', key)).allowed).toBe(false);
  });

  it('takes back what a decision counted, once', async () => {
    const key = someone();
    const hits = ['ten', 'two'].map((policy) => ({ policy, key }));
    const decisions = [await a.limiter.consume(hits), await a.limiter.consume(hits)];
    expect((await b.limiter.consume(hits)).allowed).toBe(false);
    expect(await a.limiter.refund(decisions[0]!)).toBe(true);
    expect(await a.limiter.refund(decisions[0]!)).toBe(false);
    expect(await a.limiter.inspect('ten', key)).toMatchObject({ used: 1 });
    // B knew that it was full: it hears of the room at once.
    await eventually(async () => expect((await b.limiter.consume(hits)).allowed).toBe(true), { every: 1 });
    expect((await a.limiter.consume(hits)).allowed).toBe(false);
    await expect(a.limiter.refund({ ...decisions[1]! })).rejects.toBeInstanceOf(OptionsError);
  });

  it('counts a penalty over the limit', async () => {
    const key = someone();
    expect(await a.limiter.penalty('ten', key, 12)).toMatchObject({ remaining: 0, allowed: false });
    expect((await consume(a, 'ten', key)).allowed).toBe(false);
    expect(await a.limiter.inspect('ten', key)).toMatchObject({ used: 12, remaining: 0 });
  });

  it('counts for a policy in shadow mode, and never refuses', async () => {
    const key = someone();
    const hits = ['watch', 'two'].map((policy) => ({ policy, key }));
    expect(await allowed([1, 2].map(() => a.limiter.consume(hits)))).toBe(2);
    expect(await a.limiter.inspect('watch', key)).toMatchObject({ used: 1 });
    const decision = await a.limiter.consume([{ policy: 'watch', key }]);
    expect(decision).toMatchObject({ allowed: true, retryAfterMs: 0 });
    expect(decision.limits[0]).toMatchObject({ allowed: false, remaining: 0 });
  });

  it('answers here for a key that is known to be full, and hears of a reset anywhere', async () => {
    const key = someone();
    await allowed([1, 2, 3].map(() => consume(a, 'two', key)));
    const sent = await scriptsSent(a, async () => {
      for (let i = 0; i < 20; i++)
        expect(await consume(a, 'two', key)).toMatchObject({ allowed: false, source: 'local' });
    });
    expect(sent).toBe(0);
    expect((await consume(a, 'two', key)).limits[0]).toMatchObject({ remaining: 0, limit: 2 });
    expect(await b.limiter.reset('two', key)).toBe(true);
    await eventually(async () => expect((await consume(a, 'two', key)).allowed).toBe(true), { every: 1, timeout: 500 });
  });

  it('knows a reset, a refund and a block of its own before the answer', async () => {
    const key = someone();
    for (let i = 0; i < 20; i++) {
      const decisions = await Promise.all([1, 2, 3].map(() => consume(a, 'two', key)));
      expect(decisions.map((decision) => decision.allowed)).toEqual([true, true, false]);
      await a.limiter.refund(decisions[0]!);
      expect((await consume(a, 'two', key)).allowed).toBe(true);
      expect((await consume(a, 'two', key)).allowed).toBe(false);
      await a.limiter.reset('two', key);
    }
  });

  it('blocks by hand in all processes at once', async () => {
    const key = someone();
    expect((await consume(b, 'ten', key)).allowed).toBe(true);
    expect(await a.limiter.block('ten', key, '5m')).toBe(true);
    const refused = await consume(a, 'ten', key);
    expect(refused.allowed).toBe(false);
    expect(refused.retryAfterMs).toBeGreaterThan(299_000);
    await eventually(async () => expect(await consume(b, 'ten', key)).toMatchObject({ source: 'local' }));
    await b.limiter.reset('ten', key);
    await eventually(async () => expect((await consume(a, 'ten', key)).allowed).toBe(true), { every: 1 });
  });

  it('tells the others of a full key of a policy that broadcasts, and of no other', async () => {
    const [told, plain] = [someone(), someone()];
    await allowed([1, 2].flatMap(() => [consume(a, 'told', told), consume(a, 'two', plain)]));
    await eventually(async () => {
      const sent = await scriptsSent(a, async () => {
        expect(await consume(b, 'told', told)).toMatchObject({ allowed: false, source: 'local' });
      });
      expect(sent).toBe(0);
    });
    expect(await consume(b, 'two', plain)).toMatchObject({ allowed: false, source: 'redis' });
  });

  it('blocks for longer each time', async () => {
    const key = someone();
    const waits: number[] = [];
    for (let round = 0; round < 3; round++) {
      await eventually(async () => expect((await consume(a, 'block', key)).allowed).toBe(true), { every: 5 });
      await consume(a, 'block', key);
      waits.push((await consume(a, 'block', key)).retryAfterMs);
    }
    expect(waits.map((wait) => Math.round(wait / 100))).toEqual([3, 9, 27]);
  });

  it('makes each hit beyond the limit wait longer, and a refund takes its wait along', async () => {
    const key = someone();
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

  it('takes changed policies from the next call on, and keeps the former where the new are bad', async () => {
    const changes = new Subject<void>();
    let policies: LimitPolicy[] = [{ name: 'live', limit: 1, window: '1m' }];
    await using pod = await replica({ url: server.url }, { policies: { policies: () => policies, changes } });
    const key = someone();
    expect(await allowed([1, 2, 3].map(() => consume(pod, 'live', key)))).toBe(1);
    await eventually(async () => expect(await consume(pod, 'live', key)).toMatchObject({ source: 'local' }));
    for (const [limit, more] of [
      [3, 2],
      [200, 197],
      [100, 0],
    ] as const) {
      policies = [{ name: 'live', limit, window: '1m' }];
      changes.next();
      expect(await allowed(Array.from({ length: 200 }, () => consume(pod, 'live', key)))).toBe(more);
    }
    policies = [{ name: 'live', limit: 0, window: '1m' }];
    changes.next();
    expect((await consume(pod, 'live', key)).limits[0]).toMatchObject({ limit: 100, allowed: false });
  });

  it('heals a key without a TTL and one that is none of ours', async () => {
    const key = someone();
    const redisKey = `yuxi:limit:{two:${key}}`;
    await consume(a, 'two', key);
    await a.redis.persist(redisKey);
    await consume(a, 'two', key);
    expect(await a.redis.pttl(redisKey)).toBeGreaterThan(0);
    for (const value of ['rubbish', 'x'.repeat(38), '0', '1', '2', '']) {
      await a.redis.set(`yuxi:limit:{ten:${key}}`, value);
      expect(await consume(a, 'ten', key)).toMatchObject({ allowed: true, source: 'redis' });
      expect(await a.redis.pttl(`yuxi:limit:{ten:${key}}`)).toBeGreaterThan(0);
    }
  });

  it('refuses nobody for longer than a window when the clock of the server runs back', async () => {
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
