import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { askRedis, eventually, freePort, type RedisServer, type SentinelTrio, startSentinel } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { captureLog, open } from '../../../test/support/redis.fixture.js';
import { resolveRedisOptions } from './redis.options.js';
import { Sentinels, SentinelWatch } from './sentinels.js';

const HOUR = 3_600_000;

captureLog();

describe('Sentinel', () => {
  let trio: SentinelTrio;

  beforeAll(async () => {
    trio = await startSentinel();
  });
  afterAll(() => trio?.stop());

  const options = () => ({ sentinels: trio.sentinels, sentinelName: trio.masterName, password: trio.password });

  it('every client follows the master through two failovers', async () => {
    const opened = Array.from({ length: 5 }, () => open(options()));
    try {
      for (let round = 0; round < 2; round++) {
        await eventually(() => opened.every(({ availability }) => availability.state === 'up'));
        const { port } = await trio.failover();
        for (const { client, availability } of opened)
          await eventually(
            async () => {
              await client.set('yuxi:round', round);
              expect((client as Redis).stream.remotePort).toBe(port);
              expect(availability.state).toBe('up');
            },
            { timeout: 10_000 },
          );
      }
    } finally {
      await Promise.all(opened.map(({ connections }) => connections.onApplicationShutdown()));
    }
  });

  it('a client leaves a master that hangs for the new one', async () => {
    await using redis = open(options());
    await eventually(() => redis.availability.state === 'up', { timeout: 10_000 });
    const master = await trio.master();
    master.pause();
    try {
      await eventually(
        async () => {
          await redis.client.set('yuxi:a', 1);
          expect((redis.client as Redis).stream.remotePort).not.toBe(master.port);
          expect(redis.availability.state).toBe('up');
        },
        { timeout: 15_000 },
      );
    } finally {
      master.resume();
    }
  });

  /** The master that all Sentinels name. After a failover they agree only when all have received its result. */
  const agreedMaster = () =>
    eventually(
      async () => {
        const named = await Promise.all(
          trio.sentinelServers.map((each) => askRedis(each, `SENTINEL GET-MASTER-ADDR-BY-NAME ${trio.masterName}`)),
        );
        return new Set(named).size === 1 && trio.master();
      },
      { timeout: 15_000, describe: 'the Sentinels to name the same master' },
    ) as Promise<RedisServer>;

  it('a client leaves a former master that still serves as soon as one Sentinel names another', async () => {
    const former = await agreedMaster();
    const client = new Redis({ ...former, password: trio.password, retryStrategy: null });
    const { sentinels, masterName } = trio;
    const watch = new SentinelWatch(
      new Sentinels(resolveRedisOptions(options()), sentinels, masterName),
      () => [client],
      HOUR,
    );
    try {
      for (const each of trio.sentinelServers)
        await eventually(async () => expect(await askRedis(each, 'CLIENT LIST')).toContain('sub=2'));
      const left = once(client, 'close');
      await Promise.all([trio.failover(), left]);
      // Eight seconds later the Sentinels demote it to a replica, and close its connections.
      expect(await askRedis(former, 'ROLE')).toContain('master');
    } finally {
      watch.stop();
      client.disconnect();
    }
  });

  it('reports that no Sentinel answers', async () => {
    await using redis = open({ sentinels: [{ host: '127.0.0.1', port: await freePort() }], sentinelName: 'm' });
    await eventually(() => redis.availability.reason === 'no-sentinel' || redis.availability.reason === 'refused');
  });

  it('reports a master that no Sentinel has', async () => {
    await using redis = open({ ...options(), sentinelName: 'unknown' });
    await eventually(() => redis.availability.reason === 'unknown-master');
  });
});
