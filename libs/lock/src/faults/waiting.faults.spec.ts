import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { runSeed, seededRandom } from '@yuxi/testing';
import { LockBusyError } from '../lock.errors.js';
import { lockKey, queueKey } from '../lock.names.js';
import { FencedResource, NO_DAMAGE, FaultSetup } from '../../../../test/support/lock/faults.fixture.js';

const SEED = runSeed();
const ROUNDS = 40;
const WAIT = 100;

describe('a wait for a lock', () => {
  it('F19 that times out when its turn comes has one outcome, and the next waiter is served', async () => {
    const random = seededRandom(SEED);
    await using setup = await FaultSetup.open();
    const [a, b] = [await setup.direct(), await setup.direct()];
    const resource = new FencedResource();
    const outcomes = { served: 0, busy: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const first = await a.locks.acquire('raced');
      resource.enter(first);
      const requested = monotonicMs();
      const second = b.locks.acquire('raced', { wait: WAIT }).catch((error: unknown) => error);
      await setup.queued('raced');
      const [token] = await setup.admin.lrange(queueKey(lockKey('raced')), 0, -1);
      const third = a.locks.acquire('raced', { wait: '20s' });
      await pause(requested + WAIT - 6 + random() * 8 - monotonicMs());
      await first.release();
      const outcome = await second;
      if (outcome instanceof Error) {
        expect(outcome).toBeInstanceOf(LockBusyError);
        // Sent after its withdrawal, on the same connection.
        expect(await b.locks.tryAcquire('raced')).toBeNull();
        expect(await setup.holder('raced')).not.toBe(token);
        outcomes.busy++;
      } else {
        const lock = outcome as typeof first;
        resource.enter(lock);
        expect(await lock.release()).toBe('handed-off');
        outcomes.served++;
      }
      const next = await third;
      resource.enter(next);
      expect(await next.release()).toBe('released');
    }
    console.info(`lock: turns in the last moment ${JSON.stringify(outcomes)}`);
    expect(outcomes.served + outcomes.busy).toBe(ROUNDS);
    expect(await setup.admin.keys('yuxi:lock[qw]:*')).toEqual([]);
    expect(resource).toMatchObject(NO_DAMAGE);
  });
});
