import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually, runSeed, seededRandom } from '@yuxi/testing';
import { Register, SOUND, Stage } from '../../../../test/support/lock/faults.fixture.js';

const SEED = runSeed();
const SOON = { timeout: 15_000 };

describe('renewals and releases of a lock', () => {
  it('F13 a lock is kept after a renewal that failed', async () => {
    await using stage = await Stage.open();
    const [owner, other] = [await stage.linked(), await stage.direct()];
    const lock = await owner.locks.acquire('kept', { ttl: 2400 });
    const ttlOver = monotonicMs() + 2400;
    await stage.link.refuse();
    await eventually(async () => (await owner.renewals('error')) > 0, SOON);
    await stage.link.heal();
    await eventually(async () => (await owner.renewals('ok')) > 0, SOON);
    await eventually(() => monotonicMs() > ttlOver, SOON);
    lock.assertValid();
    expect(await other.locks.tryAcquire('kept')).toBeNull();
    expect(lock.signal.aborted).toBe(false);
    expect(await lock.release()).toBe('released');
  });

  it('F13 a renewal that always fails is repeated until the deadline, and no longer', async () => {
    await using stage = await Stage.open();
    const [owner, other] = [await stage.linked(), await stage.direct()];
    const register = new Register();
    const lock = await owner.locks.acquire('lost', { ttl: 1500 });
    register.enter(lock);
    await stage.link.refuse();
    register.enter(await other.locks.acquire('lost', { wait: '20s' }));
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
    const failed = await owner.renewals('error');
    expect(failed).toBeGreaterThan(1);
    expect(await lock.release()).toBe('lost');
    expect(await owner.renewals('ok')).toBe(0);
    expect(register).toMatchObject(SOUND);
  });

  it.each([
    ['comes too late', 1800],
    // Redis gets it in time, the owner gets the answer after the deadline.
    ['is answered too late', 450],
  ])('F13 a lock ends at its deadline during a renewal that %s', async (_, latency) => {
    await using stage = await Stage.open();
    const owner = await stage.linked({}, { commandTimeout: '10s' });
    const other = await stage.direct();
    const register = new Register();
    const lock = await owner.locks.acquire('slow', { ttl: 900 });
    register.enter(lock);
    stage.link.latency(latency);
    const next = other.locks.acquire('slow', { wait: '20s' }).then((owned) => (register.enter(owned), owned));
    await eventually(() => lock.signal.aborted, { ...SOON, every: 1 });
    // The renewal has no answer yet: the deadline has ended the lock.
    expect([await owner.renewals('ok'), await owner.renewals('lost')]).toEqual([0, 0]);
    expect(lock.signal.reason).toMatchObject({ reason: 'expired' });
    await next;
    await eventually(async () => (await owner.renewals()) > 0, SOON);
    expect(lock.remainingMs).toBe(0);
    expect(await lock.release()).toBe('lost');
    (await next).assertValid();
    expect(register).toMatchObject(SOUND);
  });

  it('F12 every release returns the same result, and only the first is sent to Redis', async () => {
    await using stage = await Stage.open();
    const [a, b] = [await stage.direct(), await stage.direct()];
    const first = await a.locks.acquire('twice');
    const waiting = b.locks.acquire('twice');
    await stage.queued('twice');
    expect(await Promise.all([first.release(), first.release()])).toEqual(['handed-off', 'handed-off']);
    const second = await waiting;
    expect(await first.release()).toBe('handed-off');
    await first[Symbol.asyncDispose]();
    second.assertValid();
    expect(await stage.holder('twice')).toBe(second.token);
    expect(await second.release()).toBe('released');
    expect(() => second.assertValid()).toThrow(expect.objectContaining({ code: 'LOCK_LOST', reason: 'released' }));
  });

  it('F12 a release after the expiry returns lost and does not affect the next owner', async () => {
    await using stage = await Stage.open();
    const [a, b] = [await stage.direct(), await stage.direct()];
    const register = new Register();
    const first = await a.locks.acquire('over', { ttl: 300, renew: false });
    register.enter(first);
    const second = await b.locks.acquire('over', { wait: '10s' });
    register.enter(second);
    expect(await Promise.all([first.release(), first.release()])).toEqual(['lost', 'lost']);
    expect(await stage.holder('over')).toBe(second.token);
    expect(await second.release()).toBe('released');
    expect(register).toMatchObject(SOUND);
  });

  it('F12 a release frees the lock also during a renewal', async () => {
    const random = seededRandom(SEED);
    await using stage = await Stage.open();
    const owner = await stage.linked({ ttl: 240 }, { commandTimeout: '10s' });
    const other = await stage.direct();
    stage.link.latency(15);
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
    await using stage = await Stage.open();
    const owner = await stage.direct();
    const lock = await owner.locks.acquire('extended');
    const [extended, released] = await Promise.allSettled([lock.extend('1h'), lock.release()]);
    expect(extended).toMatchObject({ status: 'rejected', reason: { code: 'LOCK_LOST', reason: 'released' } });
    expect(released).toEqual({ status: 'fulfilled', value: 'released' });
    expect(await stage.holder('extended')).toBeNull();
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST' });
  });
});
