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
    // Exact, whatever the event loop was busy with; the signal waits for its timer, as one that was blocked does.
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

  it('aborts the owner when the key is deleted by somebody else', async () => {
    await using a = await replica({ url: server.url });
    await using lock = await a.locks.acquire('deleted', { ttl: 300 });
    await a.redis.del('yuxi:lock:deleted');
    await eventually(() => lock.signal.aborted);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
  });

  it.each(['kill', 'pause'] as const)('F8 aborts the owner by the deadline when Redis is away (%s)', async (fault) => {
    await using a = await replica({ url: server.url });
    const lock = await a.locks.acquire('owned', { ttl: 1000 });
    const granted = performance.now();
    const aborted = new Promise<number>((resolve) => {
      lock.signal.addEventListener('abort', () => resolve(performance.now() - granted), { once: true });
    });
    await server[fault]();
    // Granted before `granted` was read, and the margin for drift is taken off: never later than the ttl.
    expect(await aborted).toBeLessThan(1000 + 1000);
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
    expect(await lock.release()).toBe('lost');
    if (fault === 'pause') server.resume();
  });

  it('falls back to exclusion within the process, says so once per change, and returns by itself', async () => {
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

  it('F8 answers within the command timeout when Redis hangs, and leaves nothing behind that blocks others', async () => {
    await using a = await replica({ url: server.url, commandTimeout: 200 });
    await using b = await replica({ url: server.url });
    // Else the server would answer that it does not know the script, and nothing would be left behind in any case.
    await b.locks.withLock('any', () => Promise.resolve());
    server.pause();
    const asked = performance.now();
    const lock = await a.locks.acquire('hung', { ttl: '1h' });
    expect(performance.now() - asked).toBeLessThan(1500);
    expect(lock.degraded).toBe(true);
    expect(await lock.release()).toBe('released');
    server.resume();
    await eventually(async () => expect((await b.locks.inspect('hung')).held).toBe(false));
  });

  it('frees a lock whose release could not be told as soon as Redis answers again', async () => {
    // What was sent to a server that stands still is carried out later: the link must lose it.
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

  it('throws or goes on without any lock when told to', async () => {
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

  it('stays held without Redis for as long as the owner works', async () => {
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
