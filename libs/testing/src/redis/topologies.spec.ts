import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { eventually } from '../eventually.js';
import { startRedisCluster } from './start-cluster.js';
import type { RedisCluster } from './start-cluster.js';
import { startSentinel } from './start-sentinel.js';
import type { SentinelTrio } from './start-sentinel.js';

describe('startSentinel', () => {
  let trio: SentinelTrio;

  beforeAll(async () => {
    trio = await startSentinel();
  });
  afterAll(() => trio?.stop());

  it('connects a client to the master, also after a failover', async () => {
    const { sentinels, masterName, password } = trio;
    const client = new Redis({ sentinels, name: masterName, password });
    client.on('error', () => undefined);
    try {
      await client.set('a', '1');
      const before = await trio.master();
      expect(client.stream.remotePort).toBe(before.port);
      await before.kill();
      await eventually(() => client.set('a', '2'), { timeout: 15_000 });
      expect(client.stream.remotePort).not.toBe(before.port);
    } finally {
      client.disconnect();
    }
  });
});

describe('startRedisCluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster?.stop());

  it('serves keys of every slot', async () => {
    const client = new Cluster(cluster.nodes);
    client.on('error', () => undefined);
    const keys = Array.from({ length: 50 }, (_, i) => `key${i}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
    expect(client.nodes('master')).toHaveLength(3);
    client.disconnect();
  });
});
