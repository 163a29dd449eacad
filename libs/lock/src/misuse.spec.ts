import { Injectable } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { METRICS } from '@yuxi/observability';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { Registry } from 'prom-client';
import { LockLostError, LockService, WithLock } from './index.js';
import { captureLog, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

@Injectable()
class KbService {
  constructor(private readonly locks: LockService) {}

  @WithLock(() => 'kb', { wait: false })
  async outer(): Promise<(string | undefined)[]> {
    return Promise.all([this.inner(), this.locks.withLock('kb', async (lock) => lock.names.join(), { wait: false })]);
  }

  @WithLock(() => 'kb', { wait: false })
  async inner(): Promise<string | undefined> {
    return this.locks.current()?.names.join();
  }
}

describe('a lock that is used wrongly', () => {
  const registry = new Registry();
  let server: RedisServer;
  let a: Replica;
  let b: Replica;
  const lost = async () => {
    const { values } = await registry.getSingleMetric('yuxi_lock_lost_total')!.get();
    return Object.fromEntries(values.map((sample) => [sample.labels['reason'], sample.value]));
  };

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    a = await replica({ url: server.url }, {}, [KbService, { provide: METRICS, useValue: registry }]);
    b = await replica({ url: server.url });
  });
  afterAll(async () => {
    await a.app.close();
    await b.app.close();
    await server.stop();
  });

  it('row 51: the same lock twice in one chain of calls is entered again, and released once', async () => {
    expect(await a.app.get(KbService).outer()).toEqual(['kb', 'kb']);
    await a.locks.withLock('kb', async () => {
      await a.app.get(KbService).inner();
      expect(await b.locks.tryAcquire('kb')).toBeNull();
    });
    expect((await b.locks.inspect('kb')).held).toBe(false);
  });

  it('row 52: releasing a lock of another owner, or an expired one, returns lost and is counted', async () => {
    const [stolen, expired] = await Promise.all(['stolen', 'expired'].map((name) => a.locks.acquire(name)));
    await b.redis.set('yuxi:lock:stolen', 'thief', 'PX', 60_000);
    await b.redis.del('yuxi:lock:expired');
    expect(await stolen!.release()).toBe('lost');
    expect(await expired!.release()).toBe('lost');
    expect(await lost()).toEqual({ taken: 2 });
    expect(await b.redis.get('yuxi:lock:stolen')).toBe('thief');
    // Its own clock shows the expiry, before a command is sent.
    const late = await a.locks.acquire('late', { ttl: 50, wait: false, renew: false });
    for (const end = performance.now() + 60; performance.now() < end;);
    expect(await late.release()).toBe('lost');
    expect(await lost()).toEqual({ taken: 2, expired: 1 });
  });

  it('row 53: extending after a loss is refused, and the signal aborts with the same error', async () => {
    const lock = await a.locks.acquire('extended');
    await b.locks.forceRelease('extended');
    const error: unknown = await lock.extend('1m').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LockLostError);
    const message = "Lock 'yuxi:lock:extended' was lost: Redis no longer holds it for this owner";
    expect(error).toMatchObject({ code: 'LOCK_LOST', reason: 'taken', names: ['extended'], message });
    expect(lock.signal.reason).toBe(error);
    await expect(lock.extend()).rejects.toBe(error);
    expect(await lock.release()).toBe('lost');
    await expect(lock.extend()).rejects.toBe(error);
  });

  it('row 53: extending after the release is refused', async () => {
    const lock = await a.locks.acquire('released');
    expect(await lock.release()).toBe('released');
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'released' });
  });
});
