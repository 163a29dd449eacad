import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { MemoryLockStore, QuorumLockStore } from './index.js';
import { captureLog, Guarded, onStore } from '../../../test/support/lock/lock.fixture.js';

/** Commands on an unavailable node reject soon, and its client closes soon. */
const OPTIONS = { commandTimeout: 500, retryStrategy: () => 50, maxRetriesPerRequest: 0, disconnectTimeout: 100 };

describe('LockModule with another store', () => {
  let lines: string[];
  let servers: RedisServer[];
  const clients: Redis[] = [];
  beforeEach(() => {
    lines = captureLog();
  });
  beforeAll(async () => {
    servers = await Promise.all([startRedis(), startRedis(), startRedis()]);
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    for (const server of servers) await server.stop();
  });

  const nodes = () =>
    servers.map(({ url }) => {
      const node = new Redis(url, OPTIONS);
      node.on('error', () => undefined);
      clients.push(node);
      return node;
    });

  it('works in memory, without Redis, and can be inspected', async () => {
    await using one = await onStore(new MemoryLockStore());
    const guarded = new Guarded();
    await Promise.all(Array.from({ length: 10 }, () => one.locks.withLock('x', () => guarded.use())));
    expect(guarded).toMatchObject({ entries: 10, overlaps: 0 });
    const held = await one.locks.acquire('y');
    const next = one.locks.acquire('y');
    expect(held).toMatchObject({ degraded: false, fence: expect.any(Number) });
    expect(await one.locks.list()).toEqual([
      expect.objectContaining({ name: 'y', held: true, holder: held.token, fence: held.fence, waiting: 1 }),
    ]);
    expect(await one.locks.forceRelease('y')).toBe(true);
    expect(await held.release()).toBe('lost');
    expect(await (await next).release()).toBe('released');
    expect(await one.locks.inspect('y')).toMatchObject({ held: false, holder: null, ttlMs: null });
    expect(lines.filter((line) => line.includes('Redis'))).toEqual([]);
  });

  it('is not renewed over a quorum when renew is false', async () => {
    const own = nodes();
    await using a = await onStore(new QuorumLockStore(own));
    await using held = await a.locks.acquire('brief', { ttl: 500, renew: false });
    const scripts = async () => Number(/cmdstat_eval:calls=(\d+)/.exec(await own[2]!.info('commandstats'))?.[1]);
    // Two of three nodes grant the lock; the third may get the command later.
    const before = await eventually(scripts);
    const left: number[] = [];
    await eventually(async () => {
      left.push(await own[2]!.pttl('yuxi:lock:brief'));
      return held.signal.aborted;
    });
    expect(left).toEqual(left.toSorted((x, y) => y - x));
    expect(await scripts()).toBe(before);
  });

  it('excludes over a quorum, also with a minority of its nodes dead, and rejects inspection as unsupported', async () => {
    await using a = await onStore(new QuorumLockStore(nodes()), { onUnavailable: 'fail' });
    await using b = await onStore(new QuorumLockStore(nodes()), { onUnavailable: 'fail' });
    const guarded = new Guarded();
    await servers[0]!.kill();
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? a : b).locks.withLock('x', () => guarded.use(), { wait: '30s' })),
    );
    expect(guarded).toMatchObject({ entries: 10, overlaps: 0 });
    await using held = await a.locks.acquire('y');
    expect(held).toMatchObject({ degraded: false, fence: null });
    const unsupported = { code: 'LOCK_UNAVAILABLE', reason: 'unsupported', retryable: false };
    await expect(b.locks.list()).rejects.toMatchObject(unsupported);
    await expect(b.locks.inspect('y')).rejects.toMatchObject({
      ...unsupported,
      message:
        "Lock 'yuxi:lock:y' cannot be inspected: this lock store does not support inspect, list and forceRelease",
    });
    await servers[1]!.kill();
    await expect(b.locks.acquire('z')).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' });
  });

  it('needs a store or a RedisModule', async () => {
    await expect(onStore(undefined)).rejects.toThrow(
      'LockModule has no store: import RedisModule before it, or give forRoot() a store',
    );
  });
});
