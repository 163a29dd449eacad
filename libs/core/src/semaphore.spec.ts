import { describe, expect, it } from '@jest/globals';
import { Semaphore } from './semaphore.js';

describe('Semaphore', () => {
  it('grants as many slots as it has, and a released slot to the caller that waits longest', async () => {
    const semaphore = new Semaphore(2);
    const first = await semaphore.acquire();
    const second = semaphore.tryAcquire()!;
    expect(semaphore.tryAcquire()).toBeUndefined();
    const order: number[] = [];
    const third = semaphore.acquire().then((release) => (order.push(3), release));
    const fourth = semaphore.acquire().then((release) => (order.push(4), release));
    first();
    first();
    (await third)();
    second();
    (await fourth)();
    expect(order).toEqual([3, 4]);
    const slots = [semaphore.tryAcquire(), semaphore.tryAcquire(), semaphore.tryAcquire()];
    expect(slots.filter(Boolean)).toHaveLength(2);
  });

  it('removes a caller whose signal aborts from the queue', async () => {
    const semaphore = new Semaphore(1);
    const release = await semaphore.acquire();
    const stop = new AbortController();
    const waiting = semaphore.acquire(stop.signal);
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    release();
    await semaphore.run(() => Promise.resolve());
    await expect(semaphore.acquire(stop.signal)).rejects.toThrow('stopped');
    expect(semaphore.tryAcquire()).toBeDefined();
  });

  it('releases the slot when the work fails', async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(semaphore.tryAcquire()).toBeDefined();
  });
});
