import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { eventually } from '@yuxi/testing';
import { fenceKey, lockKey } from '../lock.names.js';
import { Register, SOUND, Stage } from '../../../../test/support/lock/faults.fixture.js';

const KEY = lockKey('clock');
const HOUR_US = 3_600_000_000;

/** The effects that a jump of the server's clock has on keys. Jumps in a client are in test/e2e/lock-process.faults.spec.ts. */
describe('a lock on a server whose clock jumps', () => {
  it.each([
    ['ends soon', ['PEXPIRE', KEY, '1']],
    ['ended long ago', ['PEXPIREAT', KEY, '1']],
    ['is gone', ['DEL', KEY]],
  ])('F11 an owner detects that its lock %s', async (_, [command, ...args]) => {
    await using stage = await Stage.open();
    const [owner, other] = [await stage.direct(), await stage.direct()];
    const register = new Register();
    const first = await owner.locks.acquire('clock', { ttl: 900 });
    register.enter(first);
    const waiting = other.locks.acquire('clock', { wait: '10s' });
    await stage.queued('clock');
    await stage.admin.call(command!, ...args);
    const second = await waiting;
    register.enter(second);
    await eventually(() => first.signal.aborted);
    expect(first.signal.reason).toMatchObject({ reason: 'taken' });
    expect(register.write(first)).toBe(false);
    expect(await first.release()).toBe('lost');
    expect(await stage.holder('clock')).toBe(second.token);
    expect(register.backwards).toBe(0);
  });

  it('F11 fences grow, and waiters get their messages, while the last fence is ahead of the clock', async () => {
    await using stage = await Stage.open();
    const [a, b] = [await stage.direct(), await stage.direct()];
    const [seconds, micros] = (await stage.admin.time()) as unknown as [string, string];
    const ahead = Number(seconds) * 1e6 + Number(micros) + HOUR_US;
    await stage.admin.set(fenceKey(KEY), ahead);
    const register = new Register();
    let lock = await a.locks.acquire('clock');
    const began = monotonicMs();
    for (let i = 0; i < 40; i++) {
      register.enter(lock);
      const next = (i % 2 ? a : b).locks.acquire('clock', { wait: '10s' });
      await stage.queued('clock');
      expect(await lock.release()).toBe('handed-off');
      lock = await next;
    }
    // Waiters that ignored their messages would need a pump, twice a second.
    expect(monotonicMs() - began).toBeLessThan(10_000);
    expect(await lock.release()).toBe('released');
    expect(lock.fence).toBe(ahead + 41);
    expect(register).toMatchObject(SOUND);
  });
});
