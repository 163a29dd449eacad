import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RedisCluster, startRedisCluster } from '@yuxi/testing';
import { captureLog, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

describe('lock on a Redis Cluster', () => {
  let cluster: RedisCluster;
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    captureLog();
    cluster = await startRedisCluster();
    a = await replica({ clusterNodes: cluster.nodes, startupWait: '10s' });
    b = await replica({ clusterNodes: cluster.nodes, startupWait: '10s' });
  });
  afterAll(async () => {
    await a?.app.close();
    await b?.app.close();
    await cluster?.stop();
  });

  it('acquires names of several slots together, lists and releases them', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `slot-${i}`);
    await using lock = await a.locks.acquire(names);
    expect(lock.degraded).toBe(false);
    expect(names.every((name) => lock.fenceOf(name) !== null)).toBe(true);
    expect(await b.locks.tryAcquire(['free', 'slot-3'])).toBeNull();
    expect((await b.locks.list()).map(({ name }) => name)).toEqual(names);
    expect(await lock.release()).toBe('released');
    expect(await b.locks.list()).toEqual([]);
  });
});
