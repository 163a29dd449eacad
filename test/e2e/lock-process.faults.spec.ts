import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { FencedResource, FaultSetup, NO_DAMAGE } from '../support/lock/faults.fixture.js';
import { LockCaller } from '../support/lock/lock-caller.js';

const HOUR = 3_600_000;

const past = (ms: number) => {
  const end = monotonicMs() + ms;
  return eventually(() => monotonicMs() > end, { timeout: ms + 5000 });
};

describe('a lock in a disturbed process', () => {
  it.each([
    ['ahead', HOUR],
    ['back', -HOUR],
  ])(
    'F11 its wall clock jumps one hour %s: validity, renewals and waits depend on the monotonic clock only',
    async (_, jump) => {
      await using setup = await FaultSetup.open();
      await using caller = await LockCaller.start({ url: setup.server.url });
      const other = await setup.direct();
      await caller.acquire('renewed', { ttl: 900 });
      await caller.acquire('brief', { ttl: 2500, renew: false });
      const first = await other.locks.acquire('waited');
      const waiting = caller.acquire('waited', { wait: '20s' });
      await setup.queued('waited');
      await caller.shift(jump);
      expect(Math.abs((await caller.inspect('brief')).wall - Date.now() - jump)).toBeLessThan(HOUR / 2);

      // An hour ahead: no lock ends early. An hour back: no lock lasts longer than its ttl.
      expect((await caller.inspect('brief')).remainingMs).toBeGreaterThan(0);
      await past(2500);
      expect(await caller.inspect('brief')).toMatchObject({ aborted: true, remainingMs: 0 });
      expect(await caller.inspect('renewed')).toMatchObject({ aborted: false });
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
    },
  );

  it('F15 a waiter whose event loop was blocked during its turn does not get the lock, and queues again', async () => {
    await using setup = await FaultSetup.open();
    await using caller = await LockCaller.start({ url: setup.server.url });
    const [a, b] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await a.locks.acquire('busy');
    resource.enter(first);
    let served = false;
    const waiting = caller.acquire('busy', { ttl: '20s', wait: '1m' }).finally(() => (served = true));
    await setup.queued('busy');
    const second = b.locks.acquire('busy', { ttl: '20s', wait: '1m' });
    await setup.queued('busy', 2);

    await caller.block(4000);
    expect(await first.release()).toBe('handed-off');
    const passed = await setup.holder('busy');
    const owned = await second;
    resource.enter(owned);
    expect(passed).not.toBe(owned.token); // It is the token of the busy waiter.
    // The process answers after it has read all earlier messages.
    expect(await caller.isFree('busy')).toBe(false);
    expect(served).toBe(false);
    owned.assertValid();
    await setup.queued('busy');

    const released = Number(process.hrtime.bigint()) / 1e6;
    expect(await owned.release()).toBe('handed-off');
    const third = await waiting;
    expect(third.grantedAt).toBeGreaterThan(released);
    expect(third.fence).toBeGreaterThan(owned.fence!);
    expect(third.token).toBe(passed);
    expect(third.remainingMs).toBeGreaterThan(0);
    expect(await caller.release('busy')).toBe('released');
    expect(resource).toMatchObject(NO_DAMAGE);
    expect(caller.unhandled).toEqual([]);
  });
});
