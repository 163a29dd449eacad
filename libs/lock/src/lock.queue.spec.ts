import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChaosProxy, eventually, type RedisServer, startProxy, startRedis } from '@yuxi/testing';
import { captureLog, Guarded, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';
import { lockKey, queueKey } from './lock.names.js';

describe('the queue of a lock', () => {
  let server: RedisServer;
  let proxy: ChaosProxy;
  let a: Replica;
  let b: Replica;
  let admin: Replica;
  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    proxy = await startProxy({ host: server.host, port: server.port });
    admin = await replica({ url: server.url });
  });
  beforeEach(async () => {
    await admin.redis.flushall();
    [a, b] = await Promise.all([
      replica({ url: server.url }, { onUnavailable: 'fail' }),
      replica({ url: `redis://${proxy.host}:${proxy.port}` }, { onUnavailable: 'fail' }),
    ]);
  });
  afterEach(async () => {
    await proxy.heal();
    await Promise.all([a.app.close(), b.app.close()]);
  });
  afterAll(async () => {
    await admin.app.close();
    await proxy.stop();
    await server.stop();
  });

  const messages = async () => /cmdstat_publish:calls=(\d+)/.exec(await admin.redis.info('commandstats'))?.[1] ?? '0';
  const queued = (name: string, count: number) =>
    eventually(async () => (await admin.redis.llen(queueKey(lockKey(name)))) === count, {
      describe: `${count} queued`,
    });

  it('serves callers of several replicas in the order of their requests', async () => {
    const first = await a.locks.acquire('turns');
    const served: string[] = [];
    const waiting: Promise<unknown>[] = [];
    for (const [i, caller] of [b, a, b, a, a, b].entries()) {
      waiting.push(caller.locks.withLock('turns', async () => void served.push(String(i))));
      await queued('turns', i + 1);
    }
    expect(await first.release()).toBe('handed-off');
    await Promise.all(waiting);
    expect(served.join('')).toBe('012345');
    expect(await admin.redis.keys('yuxi:lock[qw]:*')).toEqual([]);
  });

  it('grants to a waiter of the releasing process by the answer to the release, without a message', async () => {
    const before = await messages();
    const first = await a.locks.acquire('near');
    const served: number[] = [];
    const near = [1, 2, 3].map((i) => a.locks.withLock('near', async () => void served.push(i)));
    await queued('near', 3);
    expect(await first.release()).toBe('handed-off');
    await Promise.all(near);
    expect(served).toEqual([1, 2, 3]);
    expect(await messages()).toBe(before);
    const [held, far] = [await a.locks.acquire('near'), b.locks.acquire('near')];
    await queued('near', 1);
    await held.release();
    expect(await (await far).release()).toBe('released');
    expect(await messages()).toBe(String(Number(before) + 1));
  });

  it('is exclusive over 200 sections of two replicas, with growing fences', async () => {
    const guarded = new Guarded();
    const fences: number[] = [];
    const section = (one: Replica) =>
      one.locks.withLock('busy', async ({ fence }) => {
        fences.push(fence!);
        await guarded.use(1);
      });
    await Promise.all(Array.from({ length: 200 }, (_, i) => section(i % 2 ? a : b)));
    expect(guarded).toMatchObject({ entries: 200, overlaps: 0 });
    expect(fences).toEqual([...new Set(fences)].sort((x, y) => x - y));
  });

  it('F16 serves a waiter whose subscription broke when its turn came', async () => {
    const first = await a.locks.acquire('broken');
    const second = b.locks.acquire('broken', { wait: '10s' });
    await queued('broken', 1);
    // Only the message is lost; the command connection still works.
    await admin.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await first.release();
    expect(await (await second).release()).toBe('released');
  });

  it('F5 queues waiters again when Redis lost its data', async () => {
    const first = await a.locks.acquire('lost', { ttl: '2s' });
    const second = a.locks.acquire('lost', { wait: '10s' });
    await queued('lost', 1);
    await admin.redis.flushall();
    const lock = await second;
    expect(lock.fence).toBeGreaterThan(first.fence!);
    await eventually(() => first.signal.aborted, { timeout: 5000, describe: 'the first owner to detect the loss' });
    expect(await first.release()).toBe('lost');
    expect(await lock.release()).toBe('released');
  });

  it('ignores a message about an earlier grant of a token that queued again', async () => {
    const first = await a.locks.acquire('stale');
    let served = false;
    const second = b.locks.acquire('stale').then((lock) => ((served = true), lock));
    await queued('stale', 1);
    // Removed from the queue, like a waiter of a dead process: at its next pump it queues again.
    const token = (await admin.redis.lpop(queueKey(lockKey('stale'))))!;
    await admin.redis.hdel('yuxi:lockw:{yuxi:lock:stale}', token);
    await queued('stale', 1);
    const channel = `yuxi:lockc:${token.split('.')[0]}`;
    const receivers = await eventually(() =>
      admin.redis.publish(channel, `${token} ${first.fence} ${lockKey('stale')}`),
    );
    expect(receivers).toBe(1);
    // One command and its answer, after the message has arrived.
    expect(await b.locks.tryAcquire('stale')).toBeNull();
    expect(served).toBe(false);
    expect(await first.release()).toBe('handed-off');
    const lock = await second;
    expect(lock.fence).toBeGreaterThan(first.fence!);
    await lock.release();
  });

  it('F19 grants the lock to the next waiter when the first aborts at the moment of its grant', async () => {
    for (let round = 0; round < 30; round++) {
      const controller = new AbortController();
      const first = await a.locks.acquire('raced');
      const second = b.locks.acquire('raced', { signal: controller.signal }).catch((error: unknown) => error);
      await queued('raced', 1);
      const third = a.locks.acquire('raced', { wait: '5s' });
      await queued('raced', 2);
      const released = first.release();
      controller.abort(new Error('aborted'));
      await released;
      const outcome = await second;
      if (!(outcome instanceof Error)) await (outcome as Awaited<ReturnType<typeof a.locks.acquire>>).release();
      expect(await (await third).release()).toBe('released');
    }
    expect(await admin.redis.keys('yuxi:lock[qw]:*')).toEqual([]);
  });

  it('F20 loads its script again after SCRIPT FLUSH', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `flushed ${i}`);
    const locks = await Promise.all(names.map((name) => a.locks.acquire(name)));
    await admin.redis.script('FLUSH');
    const again = await Promise.all(names.map((name) => b.locks.tryAcquire(name)));
    expect(again).toEqual(names.map(() => null));
    await admin.redis.script('FLUSH');
    expect(await Promise.all(locks.map((lock) => lock.release()))).toEqual(names.map(() => 'released'));
  });

  it('rejects all waiters as soon as Redis is unavailable, and leaves no entry that blocks others', async () => {
    await a.locks.acquire('outage', { ttl: '5s' });
    const waiting = [1, 2, 3].map(() => b.locks.acquire('outage', { wait: '30s' }));
    await queued('outage', 3);
    await proxy.refuse();
    for (const each of await Promise.allSettled(waiting))
      expect(each).toMatchObject({ status: 'rejected', reason: { code: 'LOCK_UNAVAILABLE' } });
    expect(await admin.locks.forceRelease('outage')).toBe(true);
    await using lock = await a.locks.acquire('outage', { wait: '5s' });
    expect(lock.degraded).toBe(false);
  });

  it('shows the number of waiters', async () => {
    const first = await a.locks.acquire('shown');
    const second = b.locks.acquire('shown');
    await queued('shown', 1);
    expect(await admin.locks.list()).toEqual([expect.objectContaining({ name: 'shown', waiting: 1 })]);
    await first.release();
    await (await second).release();
    expect(await admin.locks.list()).toEqual([]);
  });
});
