import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { Register, Stage, SOUND } from '../support/lock/faults.fixture.js';
import { LockCaller } from '../support/lock/lock-caller.js';

const HOUR = 3_600_000;

const past = (ms: number) => {
  const end = monotonicMs() + ms;
  return eventually(() => monotonicMs() > end, { timeout: ms + 5000 });
};

describe('a lock in a process that is disturbed', () => {
  it.each([
    ['ahead', HOUR],
    ['back', -HOUR],
  ])('F11 its wall clock jumps one hour %s: claims, renewals and waits go by the monotonic clock', async (_, jump) => {
    await using stage = await Stage.open();
    await using caller = await LockCaller.start({ url: stage.server.url });
    const other = await stage.direct();
    await caller.acquire('renewed', { ttl: 900 });
    await caller.acquire('brief', { ttl: 2500, renew: false });
    const first = await other.locks.acquire('waited');
    const waiting = caller.acquire('waited', { wait: '20s' });
    await stage.queued('waited');
    await caller.shift(jump);
    expect(Math.abs((await caller.look('brief')).wall - Date.now() - jump)).toBeLessThan(HOUR / 2);

    // An hour ahead: nothing ends before its time. An hour back: nothing lasts beyond it.
    expect((await caller.look('brief')).remainingMs).toBeGreaterThan(0);
    await past(2500);
    expect(await caller.look('brief')).toMatchObject({ aborted: true, remainingMs: 0 });
    expect(await caller.look('renewed')).toMatchObject({ aborted: false });
    expect(await other.locks.tryAcquire('renewed')).toBeNull();
    await using taken = await other.locks.acquire('brief', { wait: '5s' });
    await expect(caller.acquire('brief', { wait: 300 })).rejects.toThrow('LOCK_BUSY');
    expect(await first.release()).toBe('handed-off');
    expect((await waiting).fence).toBeGreaterThan(first.fence!);
    expect(await Promise.all(['renewed', 'brief', 'waited'].map((name) => caller.release(name)))).toEqual([
      'released',
      'lost',
      'released',
    ]);
    taken.assertValid();
    expect(caller.unhandled).toEqual([]);
  });

  it('F15 a waiter that was busy when its turn came and went does not believe in it, and queues again', async () => {
    await using stage = await Stage.open();
    await using caller = await LockCaller.start({ url: stage.server.url });
    const [a, b] = [await stage.direct(), await stage.direct()];
    const register = new Register();
    const first = await a.locks.acquire('busy');
    register.enter(first);
    let served = false;
    const waiting = caller.acquire('busy', { ttl: '20s', wait: '1m' }).finally(() => (served = true));
    await stage.queued('busy');
    const second = b.locks.acquire('busy', { ttl: '20s', wait: '1m' });
    await stage.queued('busy', 2);

    await caller.block(4000);
    expect(await first.release()).toBe('handed-off');
    const passed = await stage.holder('busy');
    const owned = await second;
    register.enter(owned);
    expect(passed).not.toBe(owned.token); // It was the busy one's turn.
    // It answers when it has read everything that came meanwhile.
    expect(await caller.isFree('busy')).toBe(false);
    expect(served).toBe(false);
    owned.assertValid();
    await stage.queued('busy');

    const released = Number(process.hrtime.bigint()) / 1e6;
    expect(await owned.release()).toBe('handed-off');
    const third = await waiting;
    expect(third.at).toBeGreaterThan(released);
    expect(third.fence).toBeGreaterThan(owned.fence!);
    expect(third.token).toBe(passed);
    expect(third.remainingMs).toBeGreaterThan(0);
    expect(await caller.release('busy')).toBe('released');
    expect(register).toMatchObject(SOUND);
    expect(caller.unhandled).toEqual([]);
  });
});
