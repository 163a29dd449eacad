import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { fenceKey, lockKey } from '../lock.names.js';
import { FencedResource, NO_DAMAGE, FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const KEY = lockKey('clock');
const HOUR_US = 3_600_000_000;

/** The effects that a jump of the server's clock has on keys. Jumps in a client are in test/e2e/lock-process.faults.spec.ts. */
describe('a lock on a server whose clock jumps', () => {
  it.each([
    ['ends soon', ['PEXPIRE', KEY, '1']],
    ['ended long ago', ['PEXPIREAT', KEY, '1']],
    ['is gone', ['DEL', KEY]],
  ])('F11 an owner detects that its lock %s', async (_, [command, ...args]) => {
    await using setup = await FaultSetup.open();
    const [owner, other] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await owner.locks.acquire('clock', { ttl: 900 });
    resource.enter(first);
    const waiting = other.locks.acquire('clock', { wait: '10s' });
    await setup.queued('clock');
    await setup.admin.call(command!, ...args);
    const second = await waiting;
    resource.enter(second);
    await eventually(() => first.signal.aborted);
    expect(first.signal.reason).toMatchObject({ reason: 'taken' });
    expect(resource.write(first)).toBe(false);
    expect(await first.release()).toBe('lost');
    expect(await setup.holder('clock')).toBe(second.token);
    expect(resource.fencesOutOfOrder).toBe(0);
  });

  it('F11 fences grow, and waiters get their messages, while the last fence is ahead of the clock', async () => {
    await using setup = await FaultSetup.open();
    const [a, b] = [await setup.direct(), await setup.direct()];
    const [seconds, micros] = (await setup.admin.time()) as unknown as [string, string];
    const ahead = Number(seconds) * 1e6 + Number(micros) + HOUR_US;
    await setup.admin.set(fenceKey(KEY), ahead);
    const resource = new FencedResource();
    let lock = await a.locks.acquire('clock');
    const began = monotonicMs();
    for (let i = 0; i < 40; i++) {
      resource.enter(lock);
      const next = (i % 2 ? a : b).locks.acquire('clock', { wait: '10s' });
      await setup.queued('clock');
      expect(await lock.release()).toBe('handed-off');
      lock = await next;
    }
    // Waiters that ignored their messages would need a pump, twice a second.
    expect(monotonicMs() - began).toBeLessThan(10_000);
    expect(await lock.release()).toBe('released');
    expect(lock.fence).toBe(ahead + 41);
    expect(resource).toMatchObject(NO_DAMAGE);
  });
});
