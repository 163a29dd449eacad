import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { LockUnavailableError } from '../lock.errors.js';
import { fenceKey, lockKey } from '../lock.names.js';
import { type Counted, Register, Stage } from '../../../../test/support/lock/faults.fixture.js';

const AWAY = { timeout: 10_000, describe: 'the owner to detect the loss' };

/** Acquires a lock, and tries again while Redis is unavailable. */
async function acquireWithRetries({ locks, availability }: Counted, name: string) {
  for (;;)
    try {
      return await locks.acquire(name, { wait: '30s' });
    } catch (error) {
      if (!(error instanceof LockUnavailableError)) throw error;
      await eventually(() => availability.state === 'up', { timeout: 10_000 });
    }
}

describe('a lock on a Redis that loses data', () => {
  it('F5 after a restart without data the owner has lost its lock, each waiter is served once, and fences still grow', async () => {
    await using stage = await Stage.open();
    const [owner, other] = [await stage.direct(), await stage.direct()];
    const register = new Register();
    const first = await owner.locks.acquire('empty', { ttl: 3000 });
    register.enter(first);
    const served: number[] = [];
    const waiting = Array.from({ length: 32 }, async (_, i) => {
      await using lock = await acquireWithRetries(i % 2 ? owner : other, 'empty');
      served.push(lock.fence!);
      register.enter(lock);
    });
    await stage.queued('empty', 32);
    await stage.server.kill();
    await stage.server.restart();
    await Promise.all(waiting);
    // Its handle may be valid a moment longer, but its writes are refused.
    expect(register.write(first)).toBe(false);
    await eventually(() => first.signal.aborted, AWAY);
    expect(await first.release()).toBe('lost');
    expect(served).toHaveLength(32);
    expect(served).toEqual([...new Set(served)].sort((x, y) => x - y));
    expect(served[0]).toBeGreaterThan(first.fence!);
    expect(register.backwards).toBe(0);
  });

  it('F6 a token that an old snapshot restores expires, its queue is skipped, and fences still grow', async () => {
    await using stage = await Stage.open();
    const [past, now, next] = [await stage.direct(), await stage.direct(), await stage.direct()];
    const register = new Register();
    const old = await past.locks.acquire('old', { ttl: 3000 });
    const oldWaiter = next.locks.acquire('old', { ttl: '1h', wait: '1m' });
    await stage.queued('old');
    await stage.admin.save();
    expect(await old.release()).toBe('handed-off');
    await (await oldWaiter).release();
    const present = await now.locks.acquire('old', { ttl: '1h' });
    register.enter(present);

    await stage.server.kill();
    await stage.server.restart({ keepData: true });
    expect(await stage.holder('old')).toBe(old.token);
    expect(Number(await stage.admin.get(fenceKey(lockKey('old'))))).toBeLessThan(present.fence!);
    await stage.queued('old');
    const lock = await acquireWithRetries(next, 'old');
    register.enter(lock);
    // Redis has no record of the present owner, which detects that when it renews.
    await expect(present.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    expect(register.write(present)).toBe(false);
    expect(await present.release()).toBe('lost');
    expect(await lock.release()).toBe('released');
    expect(register.backwards).toBe(0);
  });

  it('F18 an owner whose key was evicted detects that at its next renewal', async () => {
    await using stage = await Stage.open({ config: ['maxmemory 8mb', 'maxmemory-policy allkeys-lru'] });
    const [owner, other] = [await stage.direct(), await stage.direct()];
    const register = new Register();
    const first = await owner.locks.acquire('evicted', { ttl: 1500 });
    register.enter(first);
    let written = 0;
    await eventually(
      async () => {
        const pipeline = stage.admin.pipeline();
        for (let i = 0; i < 500; i++) pipeline.set(`filling ${++written}`, 'x'.repeat(4000));
        await pipeline.exec();
        expect(await stage.holder('evicted')).toBeNull();
      },
      { timeout: 20_000, every: 1 },
    );
    await eventually(() => first.signal.aborted, AWAY);
    expect(first.signal.reason).toMatchObject({ reason: 'taken' });
    await stage.admin.config('SET', 'maxmemory', '0');
    register.enter(await acquireWithRetries(other, 'evicted'));
    expect(register.write(first)).toBe(false);
    expect(await first.release()).toBe('lost');
    expect(register.backwards).toBe(0);
  });
});
