import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { LockUnavailableError } from '../lock.errors.js';
import { fenceKey, lockKey } from '../lock.names.js';
import { type CountedReplica, FencedResource, FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const DETECTED = { timeout: 10_000, describe: 'the owner to detect the loss' };

/** Acquires a lock, and tries again while Redis is unavailable. */
async function acquireWithRetries({ locks, availability }: CountedReplica, name: string) {
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
    await using setup = await FaultSetup.open();
    const [owner, other] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await owner.locks.acquire('empty', { ttl: 3000 });
    resource.enter(first);
    const served: number[] = [];
    const waiting = Array.from({ length: 32 }, async (_, i) => {
      await using lock = await acquireWithRetries(i % 2 ? owner : other, 'empty');
      served.push(lock.fence!);
      resource.enter(lock);
    });
    await setup.queued('empty', 32);
    await setup.server.kill();
    await setup.server.restart();
    await Promise.all(waiting);
    // Its handle may be valid a moment longer, but its writes are refused.
    expect(resource.write(first)).toBe(false);
    await eventually(() => first.signal.aborted, DETECTED);
    expect(await first.release()).toBe('lost');
    expect(served).toHaveLength(32);
    expect(served).toEqual([...new Set(served)].sort((x, y) => x - y));
    expect(served[0]).toBeGreaterThan(first.fence!);
    expect(resource.fencesOutOfOrder).toBe(0);
  });

  it('F6 a token that an old snapshot restores expires, its queue is skipped, and fences still grow', async () => {
    await using setup = await FaultSetup.open();
    const [past, now, next] = [await setup.direct(), await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const old = await past.locks.acquire('old', { ttl: 3000 });
    const oldWaiter = next.locks.acquire('old', { ttl: '1h', wait: '1m' });
    await setup.queued('old');
    await setup.admin.save();
    expect(await old.release()).toBe('handed-off');
    await (await oldWaiter).release();
    const present = await now.locks.acquire('old', { ttl: '1h' });
    resource.enter(present);

    await setup.server.kill();
    await setup.server.restart({ keepData: true });
    expect(await setup.holder('old')).toBe(old.token);
    expect(Number(await setup.admin.get(fenceKey(lockKey('old'))))).toBeLessThan(present.fence!);
    await setup.queued('old');
    const lock = await acquireWithRetries(next, 'old');
    resource.enter(lock);
    // Redis has no record of the present owner, which detects that when it renews.
    await expect(present.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' });
    expect(resource.write(present)).toBe(false);
    expect(await present.release()).toBe('lost');
    expect(await lock.release()).toBe('released');
    expect(resource.fencesOutOfOrder).toBe(0);
  });

  it('F18 an owner whose key was evicted detects that at its next renewal', async () => {
    await using setup = await FaultSetup.open({ config: ['maxmemory 8mb', 'maxmemory-policy allkeys-lru'] });
    const [owner, other] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await owner.locks.acquire('evicted', { ttl: 1500 });
    resource.enter(first);
    let written = 0;
    await eventually(
      async () => {
        const pipeline = setup.admin.pipeline();
        for (let i = 0; i < 500; i++) pipeline.set(`filling ${++written}`, 'x'.repeat(4000));
        await pipeline.exec();
        expect(await setup.holder('evicted')).toBeNull();
      },
      { timeout: 20_000, every: 1 },
    );
    await eventually(() => first.signal.aborted, DETECTED);
    expect(first.signal.reason).toMatchObject({ reason: 'taken' });
    await setup.admin.config('SET', 'maxmemory', '0');
    resource.enter(await acquireWithRetries(other, 'evicted'));
    expect(resource.write(first)).toBe(false);
    expect(await first.release()).toBe('lost');
    expect(resource.fencesOutOfOrder).toBe(0);
  });
});
