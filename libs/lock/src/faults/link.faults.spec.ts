import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import type { Replica } from '../../../../test/support/lock/lock.fixture.js';
import { lockKey } from '../lock.names.js';
import { FencedResource, NO_DAMAGE, FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const RETURNED = { timeout: 10_000, describe: 'the replica to reach Redis again' };
/** Loads the script, because otherwise the first answer is NOSCRIPT. */
const scriptKnown = ({ locks }: Replica) => locks.withLock('any', async () => undefined);

describe('a lock over a bad link', () => {
  it('F9 the lock of an owner that is cut off for longer than the ttl ends, and its late release does not affect the next owner', async () => {
    await using setup = await FaultSetup.open();
    const [cut, other] = [await setup.linked(), await setup.direct()];
    const resource = new FencedResource();
    const first = await cut.locks.acquire('cut', { ttl: 1000 });
    resource.enter(first);
    setup.link.blackhole();
    const second = await other.locks.acquire('cut', { ttl: '1h', wait: '20s' });
    resource.enter(second);
    expect(first.signal.reason).toMatchObject({ reason: 'expired' });

    await setup.link.heal();
    await eventually(() => cut.availability.state === 'up', RETURNED);
    expect(await first.release()).toBe('lost');
    expect(await cut.locks.tryAcquire('cut')).toBeNull();
    expect(await setup.holder('cut')).toBe(second.token);
    expect(resource.write(first)).toBe(false);
    expect(await second.release()).toBe('released');
    resource.enter(await cut.locks.acquire('cut', { wait: false }));
    expect(resource).toMatchObject(NO_DAMAGE);
  });

  it('F9 a renewal that arrives late neither takes a lock back nor creates it again', async () => {
    await using setup = await FaultSetup.open();
    const [slow, other] = [await setup.linked(), await setup.direct()];
    const resource = new FencedResource();
    const taken = await slow.locks.acquire('taken', { ttl: 900 });
    const free = await slow.locks.acquire('free', { ttl: 900 });
    resource.enter(taken);
    const commands = await setup.commands();
    setup.link.latency(2500);
    const second = await other.locks.acquire('taken', { ttl: '1h', wait: '20s' });
    resource.enter(second);
    await second.extend(); // A waiter has a short ttl until its first renewal.
    commands.length = 0;
    const late = ({ token }: { token: string }) =>
      commands.some((command) => command.some((word) => word.includes(token)));
    await eventually(() => late(taken) && late(free), { timeout: 10_000, describe: 'the late renewals' });

    expect(await setup.holder('taken')).toBe(second.token);
    expect(await setup.admin.pttl(lockKey('taken'))).toBeGreaterThan(60_000);
    expect(await setup.holder('free')).toBeNull();
    expect([await taken.release(), await free.release()]).toEqual(['lost', 'lost']);
    second.assertValid();
    expect(resource).toMatchObject(NO_DAMAGE);
  });

  it('F10 an acquisition whose answer was lost is withdrawn', async () => {
    await using setup = await FaultSetup.open();
    const [deaf, other] = [await setup.linked(), await setup.direct()];
    await scriptKnown(other);
    setup.link.loseAnswers();
    const refused = deaf.locks.acquire('lost', { ttl: '1h' });
    await eventually(async () => expect(await setup.holder('lost')).not.toBeNull(), { every: 1 });
    await expect(refused).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', reason: 'timeout' });
    await using lock = await other.locks.acquire('lost', { wait: '10s' });
    expect(lock.degraded).toBe(false);
  });

  it('F10 an acquisition whose answer and withdrawal were lost blocks neither other processes nor its own', async () => {
    await using setup = await FaultSetup.open();
    const [deaf, other] = [await setup.linked({}, { commandTimeout: '1s' }), await setup.direct()];
    await scriptKnown(other);
    setup.link.loseAnswers();
    const refused = deaf.locks.acquire('lost', { ttl: '1h' });
    const local = deaf.locks.acquire('local', { ttl: '1h', onUnavailable: 'local' });
    for (const name of ['lost', 'local'])
      await eventually(async () => expect(await setup.holder(name)).not.toBeNull(), { every: 1 });
    setup.link.blackhole();
    await expect(refused).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', reason: 'timeout' });
    expect(await local).toMatchObject({ degraded: true });
    expect(await other.locks.tryAcquire('lost')).toBeNull();

    await setup.link.heal();
    for (const name of ['lost', 'local']) {
      const lock = await other.locks.acquire(name, { wait: '10s' });
      expect(await lock.release()).toBe('released');
    }
    expect(await (await local).release()).toBe('released');
    for (const name of ['lost', 'local']) {
      const lock = (await eventually(() => deaf.locks.tryAcquire(name), RETURNED))!;
      expect(lock.degraded).toBe(false);
    }
  });

  it('F10 a queued acquisition whose answer was lost does not block the waiters behind it', async () => {
    await using setup = await FaultSetup.open();
    const [deaf, a, b] = [await setup.linked({}, { commandTimeout: '1s' }), await setup.direct(), await setup.direct()];
    const first = await a.locks.acquire('queue', { ttl: '1h' });
    setup.link.loseAnswers();
    const refused = deaf.locks.acquire('queue', { ttl: '1h', wait: '1m' });
    await setup.queued('queue', 1);
    setup.link.blackhole();
    const second = b.locks.acquire('queue', { wait: '20s' });
    await setup.queued('queue', 2);
    // The first waiter gets the lock, but no answer.
    expect(await first.release()).toBe('handed-off');
    await expect(refused).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', reason: 'timeout' });
    expect(await (await second).release()).toBe('released');
    await setup.link.heal();
    const lock = (await eventually(() => deaf.locks.tryAcquire('queue'), RETURNED))!;
    expect(lock.fence).toBeGreaterThan(first.fence!);
  });

  it.each([
    ['CLIENT PAUSE', ['CLIENT', 'PAUSE', '2500', 'ALL']],
    ['DEBUG SLEEP', ['DEBUG', 'SLEEP', '2.5']],
  ])('F8 %s ends locks at their deadline, and commands sent meanwhile leave no lock', async (_, command) => {
    await using setup = await FaultSetup.open();
    const [a, b] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const first = await a.locks.acquire('slow', { ttl: 1000 });
    resource.enter(first);
    const waiting = b.locks.acquire('slow', { wait: '20s' });
    await setup.queued('slow');
    const paused = setup.admin.call(command[0]!, ...command.slice(1));
    await expect(waiting).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' });
    const local = await b.locks.acquire('other', { ttl: '1h', onUnavailable: 'local' });
    expect(local.degraded).toBe(true);
    await eventually(() => first.signal.aborted);
    expect(first.signal.reason).toMatchObject({ reason: 'expired' });
    await paused;
    for (const { availability } of [a, b]) await eventually(() => availability.state === 'up', RETURNED);
    resource.enter(await b.locks.acquire('slow', { wait: '10s' }));
    await eventually(async () => expect(await setup.holder('other')).toBeNull());
    expect(await first.release()).toBe('lost');
    expect(resource).toMatchObject(NO_DAMAGE);
  });
});
