import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { LOCK_CHANNELS, MemoryLockStore } from '../index.js';
import { captureLog, onStore, type StoreReplica } from '../../../../test/support/lock/lock.fixture.js';

describe('events of the lock', () => {
  let events: [channel: string, event: object][];
  let one: StoreReplica;
  const listen = (event: unknown, name: string | symbol) => void events.push([String(name), event as object]);

  beforeEach(async () => {
    captureLog();
    events = [];
    for (const { name } of Object.values(LOCK_CHANNELS)) subscribe(name, listen);
    one = await onStore(new MemoryLockStore());
  });
  afterEach(async () => {
    for (const { name } of Object.values(LOCK_CHANNELS)) unsubscribe(name, listen);
    await one.app.close();
  });

  it('report acquisitions and releases', async () => {
    const lock = await one.locks.acquire(['b', 'a']);
    const fences = [lock.fenceOf('a'), lock.fenceOf('b')];
    await lock.release();
    expect(events).toEqual([
      ['yuxi:lock:acquire', { names: ['a', 'b'], result: 'ok', waitedMs: expect.any(Number), fences }],
      ...['a', 'b'].map((name, i) => [
        'yuxi:lock:end',
        { name, token: expect.any(String), fence: fences[i], heldMs: expect.any(Number) },
      ]),
    ]);
  });

  it('report refusals, renewals and losses', async () => {
    const held = await one.locks.acquire('x', { ttl: 300 });
    await one.locks.tryAcquire('x');
    await held.extend();
    await one.locks.forceRelease('x');
    await eventually(() => held.signal.aborted);
    const { token } = held;
    expect(events.slice(1)).toEqual([
      ['yuxi:lock:acquire', { names: ['x'], result: 'busy', waitedMs: expect.any(Number), fences: [] }],
      ['yuxi:lock:renew', { name: 'x', token, result: 'ok' }],
      ['yuxi:lock:renew', { name: 'x', token, result: 'lost' }],
      ['yuxi:lock:end', { name: 'x', token, fence: held.fence, heldMs: expect.any(Number), lost: 'taken' }],
    ]);
  });
});
