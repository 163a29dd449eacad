import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, Guarded, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';
import { LockBusyError, LockLostError } from './index.js';

describe('LockService on Redis', () => {
  let server: RedisServer;
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    a = await replica({ url: server.url });
    b = await replica({ url: server.url });
  });
  afterAll(async () => {
    await a.app.close();
    await b.app.close();
    await server.stop();
  });

  it('excludes callers of two replicas', async () => {
    const guarded = new Guarded();
    const work = Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).locks.withLock('shared', () => guarded.use()));
    await Promise.all(work);
    expect(guarded).toMatchObject({ entries: 20, overlaps: 0 });
  });

  it('overlaps occur in the same work without exclusion (control)', async () => {
    await using open = await replica({}, { onUnavailable: 'proceed' });
    const guarded = new Guarded();
    await Promise.all(Array.from({ length: 20 }, () => open.locks.withLock('shared', () => guarded.use())));
    expect(guarded.overlaps).toBeGreaterThan(0);
  });

  it('serves callers of one replica in their order', async () => {
    const order: number[] = [];
    const enter = (i: number) => a.locks.withLock('order', async () => void order.push(i));
    await Promise.all([enter(1), enter(2), enter(3), enter(4)]);
    expect(order).toEqual([1, 2, 3, 4]);
  });

  it('reports busy at once without a wait, and after the wait with one', async () => {
    await using held = await a.locks.acquire('busy');
    expect(held.degraded).toBe(false);
    expect(await b.locks.tryAcquire('busy')).toBeNull();
    expect(await a.locks.tryAcquire('busy')).toBeNull();
    await expect(b.locks.acquire('busy', { wait: '150ms' })).rejects.toMatchObject({
      code: 'LOCK_BUSY',
      retryable: true,
      names: ['busy'],
    });
    await expect(b.locks.acquire('busy', { wait: false })).rejects.toBeInstanceOf(LockBusyError);
  });

  it('ends the wait when the caller aborts', async () => {
    await using held = await a.locks.acquire('aborted');
    const reason = new Error('client disconnected');
    for (const waiter of [a, b]) {
      const controller = new AbortController();
      const waiting = waiter.locks.acquire('aborted', { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 30);
      await expect(waiting).rejects.toBe(reason);
    }
    expect(await held.release()).toBe('released');
    expect(await (await b.locks.acquire('aborted', { wait: 0 })).release()).toBe('released');
  });

  it('releases a lock that is granted after its caller has aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('client disconnected');
    const acquiring = a.locks.acquire('aborted early', { signal: controller.signal });
    controller.abort(reason);
    await expect(acquiring).rejects.toBe(reason);
    expect((await b.locks.inspect('aborted early')).held).toBe(false);
  });

  it('grants fences that grow, also after Redis lost its data', async () => {
    const fences: number[] = [];
    for (const round of [1, 2, 3, 4]) {
      if (round === 3) await a.redis.flushall();
      await using lock = await (round % 2 ? a : b).locks.acquire('fenced');
      fences.push(lock.fence!);
      expect(lock.fenceOf('fenced')).toBe(lock.fence);
      expect(lock.fenceOf('other')).toBeNull();
    }
    expect(fences).toEqual([...fences].sort((x, y) => x - y));
    expect(new Set(fences).size).toBe(4);
    expect(fences.every(Number.isSafeInteger)).toBe(true);
  });

  it('grants a higher fence when the clock of the server is behind the last fence', async () => {
    const ahead = (Date.now() + 3_600_000) * 1000;
    await a.redis.set('yuxi:lockf:{yuxi:lock:skewed}', ahead, 'PX', 60_000);
    await using lock = await a.locks.acquire('skewed');
    expect(lock.fence).toBe(ahead + 1);
  });

  it('acquires all of several names or none', async () => {
    await using two = await a.locks.acquire(['y', 'x', 'y']);
    expect(two.names).toEqual(['x', 'y']);
    expect(two.fence).toBe(Math.max(two.fenceOf('x')!, two.fenceOf('y')!));
    expect(two.token).toBe(two.tokenOf('x'));
    for (const name of two.names) expect((await b.locks.inspect(name)).holder).toBe(two.tokenOf(name));
    expect(two.tokenOf('w')).toBeNull();
    expect(await b.locks.tryAcquire(['w', 'x'])).toBeNull();
    expect((await b.locks.inspect('w')).held).toBe(false);
    expect(await two.release()).toBe('released');
    await using three = await b.locks.acquire(['w', 'x', 'y'], { wait: 0 });
    expect(three.remainingMs).toBeGreaterThan(0);
  });

  it('enters a lock again that the chain of calls holds', async () => {
    await a.locks.withLock('outer', async (outer) => {
      expect(a.locks.current()).toBe(outer);
      await a.locks.withLock('outer', async (inner) => {
        expect(inner.fence).toBe(outer.fence);
        expect(a.locks.current()).toBe(inner);
      });
      outer.assertValid();
      expect((await b.locks.inspect('outer')).held).toBe(true);
      await a.locks.withLock(['more', 'outer'], async (both) => expect(both.names).toEqual(['more', 'outer']));
      expect((await b.locks.inspect('more')).held).toBe(false);
    });
    expect(a.locks.current()).toBeUndefined();
    expect((await b.locks.inspect('outer')).held).toBe(false);
  });

  it('passes on the result or the error of the body, and releases the lock', async () => {
    expect(await a.locks.withLock('body', async () => 42)).toBe(42);
    const failure = new Error('business');
    await expect(a.locks.withLock('body', () => Promise.reject(failure))).rejects.toBe(failure);
    expect((await a.locks.inspect('body')).held).toBe(false);
  });

  it('reports a lock that was force-released meanwhile, but never instead of the error of the body', async () => {
    const taken = a.locks.withLock('taken', async () => void (await b.locks.forceRelease('taken')));
    await expect(taken).rejects.toBeInstanceOf(LockLostError);
    const failure = new Error('business');
    const failing = a.locks.withLock('taken', async () => {
      await b.locks.forceRelease('taken');
      throw failure;
    });
    await expect(failing).rejects.toBe(failure);
  });

  it('never deletes the lock of another owner', async () => {
    const lock = await a.locks.acquire('stolen');
    await a.redis.set('yuxi:lock:stolen', 'thief', 'PX', 5000);
    expect(await lock.release()).toBe('lost');
    expect(await lock.release()).toBe('lost');
    expect(await a.redis.get('yuxi:lock:stolen')).toBe('thief');
    await a.redis.del('yuxi:lock:stolen');
  });

  it('extends a lock, and refuses that after a loss', async () => {
    await using lock = await a.locks.acquire('extended', { ttl: '1s' });
    await lock.extend('1m');
    expect(lock.remainingMs).toBeGreaterThan(30_000);
    expect((await a.locks.inspect('extended')).ttlMs).toBeGreaterThan(30_000);
    await b.locks.forceRelease('extended');
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    expect(lock.signal.aborted).toBe(true);
  });

  it('shows which lock is held by which token', async () => {
    await using lock = await a.locks.acquire('shown {1}', { ttl: '30s' });
    const state = await b.locks.inspect('shown {1}');
    expect(state).toMatchObject({ name: 'shown {1}', key: 'yuxi:lock:shown %7B1%7D', held: true, fence: lock.fence });
    expect(state.holder).toBe(lock.token);
    expect(await b.locks.list()).toEqual([expect.objectContaining({ name: 'shown {1}' })]);
    expect(await b.locks.forceRelease('nothing')).toBe(false);
  });

  it('releases held locks at shutdown', async () => {
    const c = await replica({ url: server.url });
    const lock = await c.locks.acquire('shutdown', { ttl: '1h' });
    await c.app.close();
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'shutdown' });
    await eventually(async () => expect((await a.locks.inspect('shutdown')).held).toBe(false));
  });
});
