import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { configMigrations, ConfigPubSubService, ConfigSyncModule } from '@yuxi/config-sync';
import { LockModule, LockService } from '@yuxi/lock';
import { REDIS_CONNECTION, RedisAvailability, RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { eventually, type RedisServer, startRedis } from '@yuxi/testing';
import { Task, TaskQueue, TasksModule } from '@yuxi/tasks';
import { LimiterModule, LimiterService, ThrottlerStorageRedis } from '@yuxi/throttler';
import { Redis } from 'ioredis';
import { z } from 'zod';

class Notes {
  readonly received: number[] = [];

  @Task({ name: 'note', schema: z.int() })
  note(number: number): void {
    this.received.push(number);
  }
}

describe('another client bound to REDIS_CONNECTION', () => {
  let server: RedisServer;
  let client: Redis;
  let app: TestingModule;

  beforeAll(async () => {
    server = await startRedis({ password: 'secret' });
    client = new Redis(server.url, { db: 3 });
    const module = Test.createTestingModule({
      imports: [
        // No server listens there: a service that does not use the token has no Redis.
        RedisModule.forRoot({ host: '127.0.0.1', port: 1, startupWait: 0 }),
        StorageModule.forRoot({ migrations: [...configMigrations] }),
        LockModule.forRoot({ onUnavailable: 'fail' }),
        LimiterModule.forRoot({ policies: [{ name: 'p', limit: 1, window: '1m' }] }),
        ConfigSyncModule.forRoot(),
        TasksModule.forRoot({ engine: 'streams' }),
      ],
      providers: [Notes],
    });
    app = await module.overrideProvider(REDIS_CONNECTION).useValue(client).compile();
    app.useLogger(false);
    await app.init();
  }, 60_000);
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  it('is used by availability, locks, limits, the storage of @nestjs/throttler, change notices of settings, and tasks', async () => {
    expect(app.get(RedisAvailability).state).toBe('up');

    const locks = app.get(LockService);
    const first = await locks.acquire('x');
    const second = locks.acquire('x', { wait: '10s' });
    await eventually(async () => expect(await locks.inspect('x')).toMatchObject({ holder: first.token, waiting: 1 }));
    expect(await client.get('yuxi:lock:x')).toBe(first.token);
    await first.release();
    expect((await second).degraded).toBe(false);
    await (await second).release();

    const limiter = app.get(LimiterService);
    const hits = [{ policy: 'p', key: 'k' }];
    const decisions = [await limiter.consume(hits), await limiter.consume(hits)];
    expect(decisions).toMatchObject([
      { allowed: true, source: 'redis' },
      { allowed: false, source: 'redis' },
    ]);
    await app.get(ThrottlerStorageRedis).increment('k', 60_000, 1, 0, 'default');
    expect(await client.keys('yuxi:limit:*')).toHaveLength(2);

    const notices = app.get(ConfigPubSubService);
    const types: string[] = [];
    notices.changes.subscribe(({ type }) => types.push(type));
    await eventually(async () => {
      expect(await notices.publish({ type: 'general', revision: 1 })).toBe(true);
      expect(types).toContain('general');
    });

    await app.get(TaskQueue).enqueue('note', 7);
    await eventually(() => expect(app.get(Notes).received).toEqual([7]));
    // The thread that renews the worker's membership of its queue is a client too.
    const lease = () => client.zrange('yuxi:q:{default}:w', '0', '-1', 'WITHSCORES');
    const before = await lease();
    await eventually(async () => expect(await lease()).not.toEqual(before));
  });

  it('stays open when the application closes, because the application does not own it', async () => {
    await app.close();
    expect(await client.ping()).toBe('PONG');
    // All other connections of the application are closed.
    await eventually(async () =>
      expect(
        String(await client.client('LIST'))
          .trim()
          .split('\n'),
      ).toHaveLength(1),
    );
  });
});
