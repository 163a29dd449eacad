import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startProxy, startRedis } from '@yuxi/testing';
import { captureLog, Guarded, replica } from '../../../test/support/lock/lock.fixture.js';
import { LockLostError } from './index.js';

const NO_OP = (name: string) => `warn Acquiring lock 'yuxi:lock:${name}' without Redis (no-op mode)`;

describe('lock under faults', () => {
  let server: RedisServer;
  let lines: string[];

  beforeEach(async () => {
    lines = captureLog();
    server = await startRedis();
  });
  afterEach(() => server.stop());

  it('is renewed while held and expires without renewal', async () => {
    await using a = await replica({ url: server.url });
    await using b = await replica({ url: server.url });
    await using kept = await a.locks.acquire('kept', { ttl: 300 });
    const left = await a.locks.acquire('left', { ttl: 300, renew: false });
    await using next = await b.locks.acquire('left', { wait: '5s' });
    // `remainingMs` is exact even when the event loop was busy; the signal aborts when its timer runs.
    expect(left.remainingMs).toBe(0);
    expect(() => left.assertValid()).toThrow(LockLostError);
    await eventually(() => left.signal.aborted);
    expect(await left.release()).toBe('lost');
    expect(next.fence).toBeGreaterThan(left.fence!);
    expect(await b.locks.tryAcquire('kept')).toBeNull();
    kept.assertValid();
  });

  it('is lost at maxHold although it could be renewed', async () => {
    await using a = await replica({ url: server.url });
    await using lock = await a.locks.acquire('capped', { ttl: '10s', maxHold: 100 });
    await eventually(() => lock.signal.aborted);
    expect(lock.signal.reason).toMatchObject({ reason: 'max-hold' });
  });

  it('F15 is known to be invalid right after a blocked event loop', async () => {
    await using a = await replica({ url: server.url });
    await using lock = await a.locks.acquire('blocked', { ttl: 60 });
    const end = performance.now() + 100;
    while (performance.now() < end);
    expect(() => lock.assertValid()).toThrow(LockLostError);
  });

  it('aborts the signal of the owner when another client deletes the key', async () => {
    await using a = await replica({ url: server.url });
    await using lock = await a.locks.acquire('deleted', { ttl: 300 });
    await a.redis.del('yuxi:lock:deleted');
    await eventually(() => lock.signal.aborted);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
  });

  it.each(['kill', 'pause'] as const)(
    'F8 aborts the signal of the owner by the deadline when Redis is unavailable (%s)',
    async (fault) => {
      await using a = await replica({ url: server.url });
      const lock = await a.locks.acquire('owned', { ttl: 1000 });
      const granted = performance.now();
      const aborted = new Promise<number>((resolve) => {
        lock.signal.addEventListener('abort', () => resolve(performance.now() - granted), { once: true });
      });
      await server[fault]();
      // The grant came before `granted` was read, and the margin for drift is subtracted: never later than the ttl.
      expect(await aborted).toBeLessThan(1000 + 1000);
      expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
      expect(await lock.release()).toBe('lost');
      if (fault === 'pause') server.resume();
    },
  );

  it('excludes callers of one process while Redis is unavailable, logs each change once, and uses Redis again when it is back', async () => {
    await using a = await replica({ url: server.url });
    const held = await a.locks.acquire('first', { ttl: '1m' });
    await server.kill();
    await eventually(() => a.availability.state === 'down');

    expect(await a.locks.tryAcquire('first')).toBeNull(); // Held on Redis by this very process.
    const guarded = new Guarded();
    await Promise.all(Array.from({ length: 5 }, () => a.locks.withLock('second', () => guarded.use())));
    expect(guarded).toMatchObject({ entries: 5, overlaps: 0 });
    await using lock = await a.locks.acquire('third');
    expect(lock).toMatchObject({ degraded: true, fence: null });
    expect(lines.filter((line) => line.includes('no-op mode'))).toEqual([NO_OP('second')]);
    expect(await held.release()).toBe('released');

    await server.restart();
    await eventually(() => a.availability.state === 'up');
    await using again = await a.locks.acquire('fourth');
    expect(again.degraded).toBe(false);
    await server.kill();
    await eventually(() => a.availability.state === 'down');
    await using fifth = await a.locks.acquire('fifth');
    expect(fifth.degraded).toBe(true);
    expect(lines.filter((line) => line.includes('no-op mode'))).toEqual([NO_OP('second'), NO_OP('fifth')]);
  });

  it('F8 answers within the command timeout when Redis hangs, and leaves no key that blocks others', async () => {
    await using a = await replica({ url: server.url, commandTimeout: 200 });
    await using b = await replica({ url: server.url });
    // Otherwise the server would answer NOSCRIPT, and no key could remain.
    await b.locks.withLock('any', () => Promise.resolve());
    server.pause();
    const requested = performance.now();
    const lock = await a.locks.acquire('hung', { ttl: '1h' });
    expect(performance.now() - requested).toBeLessThan(1500);
    expect(lock.degraded).toBe(true);
    expect(await lock.release()).toBe('released');
    server.resume();
    await eventually(async () => expect((await b.locks.inspect('hung')).held).toBe(false));
  });

  it('is freed after a release that did not reach Redis, as soon as Redis answers again', async () => {
    // A paused server would run the command later, so the link has to lose it.
    const proxy = await startProxy(server);
    try {
      await using a = await replica({ url: proxy.through(server.url), commandTimeout: 100 });
      await using b = await replica({ url: server.url });
      const lock = await a.locks.acquire('late', { ttl: '1h' });
      proxy.blackhole();
      expect(await lock.release()).toBe('released');
      expect((await b.locks.inspect('late')).held).toBe(true);
      await proxy.heal();
      await eventually(async () => expect((await b.locks.inspect('late')).held).toBe(false), { timeout: 15_000 });
    } finally {
      await proxy.stop();
    }
  });

  it('throws or continues without a lock, as onUnavailable says', async () => {
    await using a = await replica({});
    await expect(a.locks.acquire('x', { onUnavailable: 'fail' })).rejects.toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      reason: 'absent',
    });
    await using one = await a.locks.acquire('x', { onUnavailable: 'proceed' });
    await using two = await a.locks.acquire('x', { onUnavailable: 'proceed' });
    expect([one.degraded, two.degraded]).toEqual([true, true]);
    expect(lines.filter((line) => line.includes('no-op mode'))).toEqual([NO_OP('x')]);
    await expect(a.locks.list()).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' });
  });

  it('stays held without Redis until its release', async () => {
    await using a = await replica({});
    await using lock = await a.locks.acquire('local', { ttl: 50 });
    expect(await a.locks.acquire('local', { wait: 200 }).catch((error: Error) => error.name)).toBe('LockBusyError');
    lock.assertValid();
    await using brief = await a.locks.acquire('brief', { ttl: 50, renew: false });
    await using next = await a.locks.acquire('brief', { wait: '5s' });
    expect(brief.signal.aborted).toBe(true);
    expect(next.signal.aborted).toBe(false);
  });
});
