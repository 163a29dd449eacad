import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { METRICS } from '@yuxi/observability';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { Registry } from 'prom-client';
import { captureLog, type Replica, replica } from '../../../../test/support/lock/lock.fixture.js';

describe('metrics of the lock', () => {
  let server: RedisServer;
  let one: Replica;
  const registry = new Registry();
  const value = async (name: string, labels: Record<string, string> = {}): Promise<number | undefined> => {
    const { values } = (await registry.getSingleMetric(name)!.get()) as { values: { value: number; labels: object }[] };
    return values.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;
  };

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    one = await replica({ url: server.url }, {}, [{ provide: METRICS, useValue: registry }]);
  });
  afterAll(async () => {
    await one.app.close();
    await server.stop();
  });

  it('count results and losses, and contain no lock names', async () => {
    const { locks } = one;
    await locks.withLock('secret-name', () => locks.withLock('secret-name', async () => {}));
    const held = await locks.acquire('secret-name', { ttl: 300 });
    await locks.tryAcquire('secret-name');
    await locks.forceRelease('secret-name');
    await eventually(() => held.signal.aborted);
    expect(await value('yuxi_lock_acquire_total', { result: 'ok' })).toBe(2);
    expect(await value('yuxi_lock_acquire_total', { result: 'reentrant' })).toBe(1);
    expect(await value('yuxi_lock_acquire_total', { result: 'busy' })).toBe(1);
    expect(await value('yuxi_lock_lost_total', { reason: 'taken' })).toBe(1);
    const text = await registry.metrics();
    expect(text).toContain('yuxi_lock_wait_seconds_count 2');
    expect(text).toContain('yuxi_lock_hold_seconds_count 2');
    expect(text).not.toContain('secret-name');
  });

  it('count the waiters', async () => {
    const held = await one.locks.acquire('queued');
    const waiting = [1, 2, 3].map(() => one.locks.acquire('queued'));
    expect(await value('yuxi_lock_waiting')).toBe(3);
    await held.release();
    for (const each of waiting) await (await each).release();
    expect(await value('yuxi_lock_waiting')).toBe(0);
  });

  it('show that locks are granted without Redis until it is back', async () => {
    expect(await value('yuxi_lock_degraded')).toBe(0);
    await server.kill();
    await eventually(() => one.availability.state === 'down');
    await one.locks.withLock('x', async () => {});
    expect(await value('yuxi_lock_degraded')).toBe(1);
    expect(await value('yuxi_lock_acquire_total', { result: 'degraded' })).toBe(1);
    await expect(one.locks.acquire('x', { onUnavailable: 'fail' })).rejects.toThrow(/needs Redis/);
    expect(await value('yuxi_lock_acquire_total', { result: 'unavailable' })).toBe(1);
    await server.restart();
    await eventually(async () => expect(await value('yuxi_lock_degraded')).toBe(0));
  });
});
