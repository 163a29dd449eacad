import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { openStorage } from '@yuxi/storage';
import type { StorageDriver } from '@yuxi/storage';
import { eventually, startPostgres, startRedis } from '@yuxi/testing';
import type { PostgresServer, RedisServer } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { startReplica } from '../../../test/support/config/start-replica.js';
import type { Replica, ReplicaOptions } from '../../../test/support/config/start-replica.js';
import { CONFIG_CHANNEL, configMigrations, ConfigPubSubService, SQL_CHANNEL } from './index.js';

const NEVER = '1h';

const title = (replica: Replica) => replica.live.section('general').title;

/** Without a subscription to Redis, a replica follows by polling only. */
class Unsubscribed extends ConfigPubSubService {
  override onModuleInit(): void {}
}

describe('replicas that share a Redis and a PostgreSQL', () => {
  let postgres: PostgresServer;
  let redis: RedisServer;
  let storage: StorageDriver;
  let outsider: Redis;
  let scope: string;
  const replicas: Replica[] = [];

  const start = async (options: Partial<ReplicaOptions> = {}) => {
    const replica = await startReplica({
      sql: storage.sql,
      redisUrl: redis.url,
      scope,
      reconcileEvery: NEVER,
      ...options,
    });
    replicas.push(replica);
    return replica;
  };
  const listeners = async () => ((await outsider.pubsub('NUMSUB', CONFIG_CHANNEL)) as [string, number])[1];
  const startTwo = async (options: Partial<ReplicaOptions> = {}) => {
    const pair = [await start(options), await start(options)] as const;
    if (!options.pubSub) await eventually(async () => expect(await listeners()).toBe(2));
    return pair;
  };

  /** Restarts Redis also when the body fails, for the tests that follow. */
  const withRedisKilled = async <T>(body: () => Promise<T>): Promise<T> => {
    await redis.kill();
    try {
      return await body();
    } finally {
      await redis.restart();
    }
  };

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis({ password: 'pw' })]);
    storage = await openStorage({ databaseUrl: (await postgres.createDatabase()).url, migrations: configMigrations });
    outsider = new Redis(redis.url);
    outsider.on('error', () => undefined);
  });
  beforeEach(() => {
    scope = randomUUID();
  });
  afterEach(async () => {
    await Promise.all(replicas.splice(0).map((replica) => replica.close()));
    await eventually(async () => expect(await listeners()).toBe(0));
  });
  afterAll(async () => {
    outsider.disconnect();
    await storage.close();
    await Promise.all([postgres.stop(), redis.stop()]);
  });

  it('a change on one replica is served by the other within a second, also after a restart of Redis', async () => {
    const [a, b] = await startTwo();
    await a.live.update({ general: { title: 'one' } });
    await eventually(() => expect(title(b)).toBe('one'), { timeout: 1000 });
    await redis.restart();
    await eventually(async () => expect(await listeners()).toBe(2));
    // The connection that publishes may reconnect later than the one that subscribes.
    await eventually(() => expect(b.availability.state).toBe('up'));
    await b.live.update({ general: { title: 'two' } });
    await eventually(() => expect(title(a)).toBe('two'), { timeout: 1000 });
  });

  it('control: without notices and without reconcile, the other replica keeps the old revision', async () => {
    const [a, b] = await startTwo({ pubSub: Unsubscribed });
    await a.live.update({ general: { title: 'one' } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(title(b)).toBe('Yuxi');
    await b.live.refresh();
    expect(title(b)).toBe('one');
  });

  it('a change made while Redis is unavailable is read after the new subscription', async () => {
    const [a, b] = await startTwo();
    const update = await withRedisKilled(() => a.live.update({ general: { title: 'missed' } }));
    expect(update).toMatchObject({ revision: 1, applied: true });
    await eventually(() => expect(title(b)).toBe('missed'), { timeout: 2000 });
  });

  it('while Redis is unavailable, the database notifies each replica of the scope once', async () => {
    const { notifications } = storage;
    const [a, b] = await startTwo({ notifications });
    const other = await start({ notifications, scope: randomUUID() });
    // Listens last: when this listens, the replicas listen too.
    let leave: () => Promise<void>;
    await new Promise<void>((listening) => {
      leave = notifications.listen(SQL_CHANNEL, { listening, message: () => undefined });
    });
    await leave!();
    await withRedisKilled(async () => {
      // A replica that loses Redis reads the head once. That read must be over before the change.
      await eventually(() => expect([a, b].map(({ availability }) => availability.state)).toEqual(['down', 'down']));
      await b.live.refresh();
      await a.live.update({ general: { title: 'notified' } });
      await eventually(() => expect(title(b)).toBe('notified'), { timeout: 1000 });
    });
    expect(await b.metric('yuxi_config_hints_total', { source: 'sql', result: 'read' })).toBe(1);
    expect(await other.metric('yuxi_config_hints_total', { source: 'sql' })).toBe(0);
  });

  it('while Redis is unavailable, a change is stored and found by the next reconcile', async () => {
    const [a, b] = await startTwo({ reconcileEvery: 200 });
    await withRedisKilled(async () => {
      await a.live.update({ general: { title: 'polled' } });
      await eventually(() => expect(title(b)).toBe('polled'), { timeout: 2500 });
    });
  });

  it('a change publishes one message for each changed section, without values', async () => {
    const [a] = await startTwo();
    const received: unknown[] = [];
    const listener = outsider.duplicate();
    await listener.subscribe(CONFIG_CHANNEL);
    listener.on('message', (_channel, text) => received.push(JSON.parse(text)));
    const { revision, hash } = await a.live.update({ general: { title: 'quiet' }, model: { name: 'large' } });
    await eventually(() => expect(received).toHaveLength(2));
    const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(received).toEqual(
      ['general', 'model'].map((type) => ({ event: 'config_changed', type, timestamp, revision, hash })),
    );
    listener.disconnect();
  });

  it('invalid notices are counted and change nothing; a forged revision causes one read of the head', async () => {
    const a = await start();
    await eventually(async () => expect(await listeners()).toBe(1));
    const garbage = ['', 'x', '{"event":"config_changed"}', '\0\u0001', '['.repeat(50_000)];
    for (const text of garbage) await outsider.publish(CONFIG_CHANNEL, text);
    await eventually(async () => expect(await a.metric('yuxi_config_hints_total', { result: 'ignored' })).toBe(5));
    const forged = { event: 'config_changed', type: 'general', timestamp: '', revision: 2 ** 60, hash: 'f' };
    await outsider.publish(CONFIG_CHANNEL, JSON.stringify(forged));
    await eventually(async () => expect(await a.metric('yuxi_config_hints_total', { result: 'read' })).toBe(1));
    expect(await a.live.update({ general: { title: 'still here' } })).toMatchObject({ revision: 1, applied: true });
    expect(await a.metric('yuxi_config_applied_revision')).toBe(1);
  });

  it('a notice without a revision, as Python replicas send it, makes replicas read the head', async () => {
    const a = await start();
    const mute = await start({
      pubSub: class extends Unsubscribed {
        override publish = () => Promise.resolve(false);
      },
    });
    await eventually(async () => expect(await listeners()).toBe(1));
    await mute.live.update({ general: { title: 'remote' } });
    expect(title(a)).toBe('Yuxi');
    await outsider.publish(
      CONFIG_CHANNEL,
      '{"event":"config_changed","type":"agent","timestamp":"2026-01-02T03:04:05"}',
    );
    await eventually(() => expect(title(a)).toBe('remote'), { timeout: 1000 });
  });

  it('50 concurrent writers on two replicas lose no change, and both replicas end at revision 50', async () => {
    const [a, b] = await startTwo();
    const seen: number[] = [];
    b.live.changes.subscribe(({ revision }) => seen.push(revision));
    await Promise.all(
      Array.from({ length: 50 }, (_, writer) =>
        (writer % 2 ? a : b).live.update({ model: { extra: { [`w${writer}`]: writer } } }),
      ),
    );
    await eventually(() => {
      for (const { live } of [a, b]) {
        expect(live.revision).toBe(50);
        expect(Object.keys(live.section('model').extra)).toHaveLength(50);
      }
    });
    expect(seen).toEqual([...new Set(seen)].sort((x, y) => x - y));
  });

  it('of 50 writers on two replicas that name one revision exactly one succeeds', async () => {
    const [a, b] = await startTwo();
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, writer) =>
        (writer % 2 ? a : b).live.update({ model: { extra: { w: writer } } }, { ifRevision: 0 }),
      ),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await eventually(() => expect([a.live.revision, b.live.revision]).toEqual([1, 1]));
  });
});
