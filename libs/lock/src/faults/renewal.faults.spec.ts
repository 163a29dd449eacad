import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually, runSeed, seededRandom } from '@yuxi/testing';
import { FencedResource, NO_DAMAGE, FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const SEED = runSeed();
const SOON = { timeout: 15_000 };

describe('renewals and releases of a lock', () => {
  it('F13 a lock is kept after a renewal that failed', async () => {
    await using setup = await FaultSetup.open();
    const [owner, other] = [await setup.linked(), await setup.direct()];
    const lock = await owner.locks.acquire('kept', { ttl: 2400 });
    const ttlOver = monotonicMs() + 2400;
    await setup.link.refuse();
    await eventually(async () => (await owner.renewals('error')) > 0, SOON);
    await setup.link.heal();
    await eventually(async () => (await owner.renewals('ok')) > 0, SOON);
    await eventually(() => monotonicMs() > ttlOver, SOON);
    lock.assertValid();
    expect(await other.locks.tryAcquire('kept')).toBeNull();
    expect(lock.signal.aborted).toBe(false);
    expect(await lock.release()).toBe('released');
  });

  it('F13 a renewal that always fails is repeated until the deadline, and no longer', async () => {
    await using setup = await FaultSetup.open();
    const [owner, other] = [await setup.linked(), await setup.direct()];
    const resource = new FencedResource();
    const lock = await owner.locks.acquire('lost', { ttl: 1500 });
    resource.enter(lock);
    await setup.link.refuse();
    resource.enter(await other.locks.acquire('lost', { wait: '20s' }));
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
    const failed = await owner.renewals('error');
    expect(failed).toBeGreaterThan(1);
    expect(await lock.release()).toBe('lost');
    expect(await owner.renewals('ok')).toBe(0);
    expect(resource).toMatchObject(NO_DAMAGE);
  });

  it.each([
    ['comes too late', 1800],
    // Redis gets it in time, the owner gets the answer after the deadline.
    ['is answered too late', 450],
  ])('F13 a lock ends at its deadline during a renewal that %s', async (_, latency) => {
    await using setup = await FaultSetup.open();
    const owner = await setup.linked({}, { commandTimeout: '10s' });
    const other = await setup.direct();
    const resource = new FencedResource();
    const lock = await owner.locks.acquire('slow', { ttl: 900 });
    resource.enter(lock);
    setup.link.latency(latency);
    const next = other.locks.acquire('slow', { wait: '20s' }).then((owned) => (resource.enter(owned), owned));
    await eventually(() => lock.signal.aborted, { ...SOON, every: 1 });
    // The renewal has no answer yet: the deadline has ended the lock.
    expect([await owner.renewals('ok'), await owner.renewals('lost')]).toEqual([0, 0]);
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
    await next;
    await eventually(async () => (await owner.renewals()) > 0, SOON);
    expect(lock.remainingMs).toBe(0);
    expect(await lock.release()).toBe('lost');
    (await next).assertValid();
    expect(resource).toMatchObject(NO_DAMAGE);
  });

  it('F12 every release returns the same result, and only the first is sent to Redis', async () => {
    await using setup = await FaultSetup.open();
    const [a, b] = [await setup.direct(), await setup.direct()];
    const first = await a.locks.acquire('twice');
    const waiting = b.locks.acquire('twice');
    await setup.queued('twice');
    expect(await Promise.all([first.release(), first.release()])).toEqual(['handed-off', 'handed-off']);
    const second = await waiting;
    expect(await first.release()).toBe('handed-off');
    await first[Symbol.asyncDispose]();
    second.assertValid();
    expect(await setup.holder('twice')).toBe(second.token);
    expect(await second.release()).toBe('released');
    expect(() => second.assertValid()).toThrow(expect.objectContaining({ code: 'LOCK_LOST', reason: 'released' }));
  });

  it('F12 a release after the expiry returns lost and does not affect the next owner', async () => {
    await using setup = await FaultSetup.open();
    const [a, b] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await a.locks.acquire('over', { ttl: 300, renew: false });
    resource.enter(first);
    const second = await b.locks.acquire('over', { wait: '10s' });
    resource.enter(second);
    expect(await Promise.all([first.release(), first.release()])).toEqual(['lost', 'lost']);
    expect(await setup.holder('over')).toBe(second.token);
    expect(await second.release()).toBe('released');
    expect(resource).toMatchObject(NO_DAMAGE);
  });

  it('F12 a release frees the lock also during a renewal', async () => {
    const random = seededRandom(SEED);
    await using setup = await FaultSetup.open();
    const owner = await setup.linked({ ttl: 240 }, { commandTimeout: '10s' });
    const other = await setup.direct();
    setup.link.latency(15);
    const results: string[] = [];
    for (let round = 0; round < 30; round++) {
      const lock = await owner.locks.acquire('raced', { wait: '10s' });
      // A renewal starts every 80 ms and takes 30 ms.
      await pause(70 + random() * 50);
      results.push(await lock.release());
      // No renewal creates it again.
      const next = await other.locks.tryAcquire('raced');
      if (results.at(-1) === 'released') expect(next).not.toBeNull();
      await next?.release();
    }
    expect(results.filter((result) => result === 'released').length).toBeGreaterThan(0);
    expect(results.filter((result) => result !== 'released' && result !== 'lost')).toEqual([]);
    expect(await owner.renewals('ok')).toBeGreaterThan(0);
  });

  it('F12 an extension that a release overtakes is refused', async () => {
    await using setup = await FaultSetup.open();
    const owner = await setup.direct();
    const lock = await owner.locks.acquire('extended');
    const [extended, released] = await Promise.allSettled([lock.extend('1h'), lock.release()]);
    expect(extended).toMatchObject({ status: 'rejected', reason: { code: 'LOCK_LOST', reason: 'released' } });
    expect(released).toEqual({ status: 'fulfilled', value: 'released' });
    expect(await setup.holder('extended')).toBeNull();
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST' });
  });
});
