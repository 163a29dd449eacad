import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, type RedisCluster, startRedisCluster } from '@yuxi/testing';
import type { Cluster as IoCluster, Redis } from 'ioredis';
import { companionKey, redisKey } from './keys.js';
import { captureLog, open } from '../../../test/support/redis.fixture.js';
import { unavailableReason } from './redis.errors.js';

captureLog();

describe('Cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster?.stop());

  it('serves commands, subscriptions and blocking reads, also after a master was killed', async () => {
    await using redis = open({ clusterNodes: cluster.nodes });
    const { client, availability, connections } = redis;
    await eventually(() => availability.state === 'up');
    const keys = Array.from({ length: 20 }, (_, i) => redisKey('lock', `{${i}}`));
    for (const key of keys) {
      await client.multi().set(key, 1).set(companionKey('lockq', key), 1).exec();
      expect(await client.del(key, companionKey('lockq', key))).toBe(2);
    }

    const subscriber = connections.duplicate('subscriber', 'test');
    subscriber.on('ready', () => void subscriber.subscribe('yuxi:test'));
    const received = new Set<string>();
    subscriber.on('message', (_, message) => received.add(message));
    const publishes = (text: string) =>
      eventually(
        async () => {
          await client.publish('yuxi:test', text);
          expect(received).toContain(text);
        },
        { timeout: 10_000 },
      );
    await publishes('first');

    const blocking = connections.duplicate('blocking', 'test');
    await eventually(() => blocking.status === 'ready');
    const popped = blocking.blpop('yuxi:list', 5);
    await client.rpush('yuxi:list', 'x');
    expect(await popped).toEqual(['yuxi:list', 'x']);

    // One kill that affects the subscription and a third of the keys. More could end the majority, or a whole shard.
    const doomed = (client as IoCluster).nodes('master')[0]?.options.port;
    await eventually(
      async () => {
        if ((subscriber as Redis).stream.remotePort === doomed) return true;
        subscriber.disconnect(true);
        await once(subscriber, 'ready');
        return false;
      },
      { timeout: 10_000 },
    );
    await cluster.servers.find(({ port }) => port === doomed)?.kill();
    const lost = await Promise.allSettled(keys.map((key) => client.set(key, 2)));
    const reasons = lost.map((each) => each.status === 'rejected' && unavailableReason(each.reason));
    expect(reasons.some((reason) => typeof reason === 'string')).toBe(true);
    await publishes('second');
    await eventually(async () => Promise.all(keys.map((key) => client.set(key, 2))), { timeout: 15_000 });
    await eventually(() => availability.state === 'up', { timeout: 5000 });
  });

  it('reports an unknown host and nodes that do not answer by different reasons', async () => {
    await using dead = open({ clusterNodes: [{ host: '127.0.0.1', port: await freePort() }] });
    await eventually(() => dead.availability.reason === 'no-node');
    await using redis = open({ clusterNodes: [{ host: 'no-such-host.invalid', port: 7000 }] });
    await eventually(() => redis.availability.reason === 'unknown-host');
    const error = await redis.client.get('yuxi:a').catch((reason: unknown) => reason);
    expect(unavailableReason(error)).toBe('unknown-host');
  });
});
