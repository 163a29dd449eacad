import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startProxy, startRedis } from '@yuxi/testing';
import { captureLog, type Replica, replica } from '../../../test/support/limiter/limiter.fixture.js';
import type { LimiterModuleOptions } from './limiter.options.js';
import type { LimitPolicy } from './policies/policy.js';

const REPLICAS = 3;
const POLICIES: LimitPolicy[] = [
  { name: 'ten', limit: 10, window: '10m' },
  { name: 'many', limit: 300, window: '10m' },
  { name: 'login', limit: 10, window: '10m', broadcast: true },
  { name: 'delay', limit: 2, window: '10m', delay: { base: '1m' } },
  { name: 'closed', limit: 10, window: '10m', onUnavailable: 'closed' },
  { name: 'open', limit: 1, window: '10m', onUnavailable: 'open' },
];

/** Waits until each replica has seen all others, so that they share the limits equally. */
const allKnown = (all: Replica[]) =>
  eventually(() => expect(all.map(({ link }) => link.replicas)).toEqual(all.map(() => all.length)));
/** As in the product. */
const commandTimeout = 200;

async function passes(all: Replica[], policy: string, key: string, times: number): Promise<number> {
  const decisions = await Promise.all(
    Array.from({ length: times }, (_, i) => all[i % all.length]!.limiter.consume([{ policy, key }])),
  );
  return decisions.filter(({ allowed }) => allowed).length;
}

describe('limits of three replicas when Redis dies', () => {
  let server: RedisServer;
  let pods: Replica[];
  let lines: string[];

  beforeEach(async () => {
    lines = captureLog();
    server = await startRedis();
    pods = await start(REPLICAS);
    await allKnown(pods);
  });
  afterEach(async () => {
    await Promise.all(pods.map(({ app }) => app.close()));
    await server.stop();
  });

  const start = (count: number, o: LimiterModuleOptions = {}) =>
    Promise.all(
      Array.from({ length: count }, () => replica({ url: server.url, commandTimeout }, { policies: POLICIES, ...o })),
    );
  const modes = (mode: string) =>
    eventually(() => expect(pods.map(({ link }) => link.mode)).toEqual(pods.map(() => mode)), { every: 2 });
  const kill = async () => {
    await server.kill();
    await modes('unavailable');
  };
  const back = async () => {
    await server.restart();
    await modes('redis');
  };

  it('a key that is full stays full, in the outage and after Redis returns without data', async () => {
    expect(await passes(pods, 'ten', 'spent', 30)).toBe(10);
    expect(await passes(pods, 'many', 'spent', 900)).toBe(300);
    await kill();
    expect(await passes(pods, 'ten', 'spent', 30)).toBe(0);
    expect(await passes(pods, 'many', 'spent', 900)).toBe(0);
    await back();
    expect(await passes(pods, 'ten', 'spent', 30)).toBe(0);
    expect(await passes(pods, 'many', 'spent', 900)).toBe(0);
    expect(await pods[0]!.limiter.inspect('ten', 'spent')).toMatchObject({ used: 10, source: 'redis' });
    expect(await pods[0]!.limiter.inspect('many', 'spent')).toMatchObject({ used: 300 });
  });

  it('a key that is full on one replica is refused by all when the policy broadcasts', async () => {
    expect(await passes(pods.slice(0, 1), 'login', 'spent', 30)).toBe(10);
    // Messages arrive in order: a replica that has received the second has received the first.
    expect(await passes(pods.slice(0, 1), 'login', 'later', 30)).toBe(10);
    await eventually(() => expect(pods.every(({ link }) => link.local.peek('yuxi:limit:{login:later}'))).toBe(true));
    await kill();
    expect(await passes(pods, 'login', 'spent', 30)).toBe(0);
    await back();
    expect(await passes(pods, 'login', 'spent', 30)).toBe(0);
  });

  it('a key that was used in part keeps its rest, shared by the replicas', async () => {
    // In turn, so that the answers of Redis contain all but the last hits of the other replicas.
    for (let i = 0; i < 6; i++) expect(await passes([pods[i % 3]!], 'ten', 'part', 1)).toBe(1);
    await kill();
    expect(await passes(pods, 'ten', 'part', 60)).toBeLessThanOrEqual(4 + 1);
    await back();
    expect(await passes(pods, 'ten', 'part', 60)).toBeLessThanOrEqual(1);
    const { used } = await pods[0]!.limiter.inspect('ten', 'part');
    expect(used).toBeGreaterThanOrEqual(9);
    expect(used).toBeLessThanOrEqual(11);
  });

  it('a new key gets one limit, rounded up to whole shares, and no more after the return of Redis', async () => {
    await kill();
    const inOutage = await passes(pods, 'ten', 'new', 60);
    expect(inOutage).toBeGreaterThanOrEqual(10);
    expect(inOutage).toBeLessThanOrEqual(10 + REPLICAS);
    await server.restart();
    // Counted from the first answer of the first replica on.
    let after = 0;
    await eventually(async () => {
      after += await passes(pods, 'ten', 'new', 3);
      return pods.every(({ link }) => link.mode === 'redis');
    });
    expect(after + (await passes(pods, 'ten', 'new', 30))).toBe(0);
  });

  it('the first replica to return allows only its share while others still have hits to restore', async () => {
    expect(await passes([pods[1]!], 'ten', 'theirs', 30)).toBe(10);
    await kill();
    await pods[1]!.app.close();
    const gone = pods.splice(1, 1)[0]!;
    await server.restart();
    const [first] = pods as [Replica];
    await eventually(() => first.link.mode === 'recovering', { every: 1 });
    const from = performance.now();
    expect(gone.link.mode).toBe('unavailable');
    // It waits for the dead replica until the longest waiting time is over. Until then it allows only its share.
    expect(await passes([first], 'ten', 'theirs', 30)).toBe(4);
    await modes('redis');
    expect(performance.now() - from).toBeGreaterThan(1000);
    expect(performance.now() - from).toBeLessThan(4000);
  });

  it('delays continue in the outage and after it', async () => {
    expect(await passes(pods.slice(0, 1), 'delay', 'k', 5)).toBe(2);
    await kill();
    expect(await passes(pods.slice(0, 1), 'delay', 'k', 5)).toBe(0);
    await back();
    expect(await passes(pods, 'delay', 'k', 9)).toBe(0);
  });

  it('a reset in the outage is effective locally, and hits that others restore do not undo it', async () => {
    expect(await passes(pods, 'ten', 'reset', 30)).toBe(10);
    await kill();
    expect(await pods[0]!.limiter.reset('ten', 'reset')).toBe(false);
    expect(await passes(pods.slice(0, 1), 'ten', 'reset', 30)).toBe(4);
    await back();
    await eventually(async () => expect((await pods[1]!.limiter.inspect('ten', 'reset')).used).toBe(4));
    expect(await passes(pods, 'ten', 'reset', 30)).toBe(6);
  });

  it('a reset before the outage is not undone', async () => {
    expect(await passes(pods, 'ten', 'earlier', 30)).toBe(10);
    expect(await pods[0]!.limiter.reset('ten', 'earlier')).toBe(true);
    await eventually(() =>
      expect(pods.map(({ link }) => link.local.peek('yuxi:limit:{ten:earlier}')?.total)).toEqual([0, 0, 0]),
    );
    await kill();
    await back();
    expect(await passes(pods, 'ten', 'earlier', 30)).toBe(10);
  });

  it('a reset is not undone by a replica that was disconnected and did not receive it', async () => {
    const proxy = await startProxy(server);
    try {
      await using pod = await replica({ host: proxy.host, port: proxy.port, commandTimeout }, { policies: POLICIES });
      expect(await passes([pod], 'ten', 'cut', 3)).toBe(3);
      await proxy.refuse();
      await eventually(() => pod.link.mode === 'unavailable');
      expect(await passes([pod], 'ten', 'cut', 1)).toBe(1);
      expect(await pods[0]!.limiter.reset('ten', 'cut')).toBe(true);
      await proxy.heal();
      await eventually(() => pod.link.mode === 'redis');
      expect(await pods[0]!.limiter.inspect('ten', 'cut')).toMatchObject({ used: 0 });
      // The same later, when Redis has lost the reset too.
      expect(await passes([pod], 'ten', 'cut', 2)).toBe(2);
      await pods[0]!.redis.flushall();
      await eventually(async () =>
        expect(await pods[0]!.limiter.inspect('ten', 'cut')).toMatchObject({ used: 2, source: 'redis' }),
      );
    } finally {
      await proxy.stop();
    }
  });

  it('a manual block in the outage is in effect on all replicas after it', async () => {
    await kill();
    expect(await pods[0]!.limiter.block('ten', 'blocked', '5m')).toBe(false);
    expect(await passes(pods.slice(0, 1), 'ten', 'blocked', 3)).toBe(0);
    await back();
    await eventually(async () => expect(await passes(pods, 'ten', 'blocked', 3)).toBe(0));
    expect((await pods[1]!.limiter.inspect('ten', 'blocked')).retryAfterMs).toBeGreaterThan(200_000);
  });

  it('a policy with onUnavailable closed refuses all requests, one with open allows all', async () => {
    await kill();
    const [pod] = pods as [Replica];
    await expect(pod.limiter.consume([{ policy: 'closed', key: 'k' }])).rejects.toMatchObject({
      code: 'LIMITER_UNAVAILABLE',
      retryable: true,
      retryAfterMs: 1000,
    });
    for (let i = 0; i < 5; i++)
      expect(await pod.limiter.consume([{ policy: 'open', key: 'k' }])).toMatchObject({
        allowed: true,
        source: 'open',
      });
    expect(await passes(pods.slice(0, 1), 'ten', 'k', 5)).toBe(4);
    await expect(pod.limiter.consume([{ policy: 'ten', key: 'k' }], { onUnavailable: 'closed' })).rejects.toMatchObject(
      { code: 'LIMITER_UNAVAILABLE' },
    );
  });

  it('FLUSHALL does not free a full key, and is logged once', async () => {
    expect(await passes(pods, 'ten', 'flushed', 30)).toBe(10);
    expect(await passes(pods, 'many', 'flushed', 900)).toBe(300);
    await pods[0]!.redis.flushall();
    expect(await passes(pods, 'ten', 'flushed', 30)).toBe(0);
    await modes('redis');
    expect(await pods[0]!.limiter.inspect('many', 'flushed')).toMatchObject({ used: 300, source: 'redis' });
    expect(await passes(pods, 'ten', 'flushed', 30)).toBe(0);
    expect(lines.filter((line) => line.includes('Redis has lost')).length).toBeLessThanOrEqual(REPLICAS);
    expect(lines.filter((line) => line.includes('in-memory fallback'))).toEqual([]);
  });

  it('no hit counts twice when the connection breaks and the data is kept', async () => {
    const proxy = await startProxy(server);
    try {
      const options = { policies: POLICIES };
      await using pod = await replica({ host: proxy.host, port: proxy.port, commandTimeout }, options);
      expect(await passes([pod], 'ten', 'kept', 3)).toBe(3);
      expect(await passes([pod], 'many', 'kept', 30)).toBe(30);
      for (let i = 1; i <= 3; i++) {
        await proxy.refuse();
        await eventually(() => pod.link.mode === 'unavailable');
        expect(await passes([pod], 'ten', 'kept', 1)).toBe(1);
        expect(await passes([pod], 'many', 'kept', 10)).toBe(10);
        await proxy.heal();
        await eventually(() => pod.link.mode === 'redis');
        expect(await pods[0]!.limiter.inspect('ten', 'kept')).toMatchObject({ used: 3 + i });
        expect(await pods[0]!.limiter.inspect('many', 'kept')).toMatchObject({ used: 30 + 10 * i });
      }
    } finally {
      await proxy.stop();
    }
  });

  it('a half-open connection costs one command timeout, and a command whose answer was lost is not counted twice', async () => {
    const proxy = await startProxy(server);
    try {
      await using pod = await replica({ host: proxy.host, port: proxy.port, commandTimeout }, { policies: POLICIES });
      await eventually(() => pod.link.replicas === REPLICAS + 1);
      expect(await passes([pod], 'ten', 'link', 1)).toBe(1);
      // Answers are delayed, so that the command runs and its answer arrives too late.
      proxy.latency(400);
      const from = performance.now();
      expect(await passes([pod], 'ten', 'link', 1)).toBe(1);
      expect(performance.now() - from).toBeLessThan(1500);
      expect(pod.link.mode).toBe('unavailable');
      proxy.blackhole();
      const again = performance.now();
      expect(await passes([pod], 'ten', 'link', 1)).toBe(1);
      expect(performance.now() - again).toBeLessThan(100);
      await proxy.heal();
      await eventually(() => pod.link.mode === 'redis', { timeout: 10_000 });
      expect(await pods[0]!.limiter.inspect('ten', 'link')).toMatchObject({ used: 3 });
    } finally {
      await proxy.stop();
    }
  });
});
