import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { eventually, freePort, type RedisServer, startRedis } from '@yuxi/testing';
import type { Redis } from 'ioredis';
import { RedisAvailability, redisHealth } from './availability.js';
import { RedisConnections } from './redis.connections.js';
import { RedisUnavailableError } from './redis.errors.js';
import { captureLog, open, timed } from '../../../test/support/redis.fixture.js';
import { RedisModule } from './redis.module.js';
import { InjectRedis, REDIS_CONNECTION, type RedisClient } from './redis.tokens.js';

const ACL =
  '~yuxi:* &yuxi:* +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous +time +wait +info +cluster|slots +cluster|shards +cluster|info';

@Injectable()
class LastWriter implements OnApplicationShutdown {
  wrote = '';
  constructor(@InjectRedis() private readonly redis: RedisClient) {}

  async onApplicationShutdown(): Promise<void> {
    this.wrote = (await this.redis.set('yuxi:last', 1)) ?? '';
  }
}

@Module({ providers: [LastWriter], exports: [LastWriter] })
class FeatureModule {}

describe('RedisModule', () => {
  let server: RedisServer;
  const log = captureLog();

  beforeAll(async () => {
    server = await startRedis({
      password: 'secret',
      config: [`user app on >pw ${ACL}`, 'maxmemory-policy allkeys-lru'],
    });
  });
  afterAll(() => server.stop());

  it('gives a thread a copy of its options, and names an option that cannot be copied', async () => {
    await using plain = open({ url: server.url, tls: { servername: 'redis' } });
    const copy = plain.connections.forThread();
    expect(copy).toMatchObject({ target: { mode: 'standalone', port: server.port }, password: 'secret' });
    copy.tls!.servername = 'another';
    expect(plain.connections.forThread().tls).toEqual({ servername: 'redis' });
    await using checked = open({ url: server.url, tls: { checkServerIdentity: () => undefined } });
    expect(() => checked.connections.forThread()).toThrow(/tls must be without functions/);
  });

  it('is up after init, and closes after the providers that use it', async () => {
    const imports = [FeatureModule, RedisModule.forRootAsync({ useFactory: () => ({ url: server.url }) })];
    const app = await Test.createTestingModule({ imports }).compile();
    app.useLogger(false);
    captureLog();
    await app.init();
    const availability = app.get(RedisAvailability);
    expect(availability).toMatchObject({ state: 'up', reason: undefined });
    expect(redisHealth(availability)).toEqual({ status: 'up', state: 'connected' });
    const client = app.get<Redis>(REDIS_CONNECTION);
    const blocking = app.get(RedisConnections).duplicate('blocking', 'test');
    await eventually(() => blocking.status === 'ready');
    const blocked = timed(() => blocking.blpop('yuxi:none', 20));
    await app.close();
    expect(app.get(LastWriter).wrote).toBe('OK');
    expect((await blocked).error).toBeInstanceOf(RedisUnavailableError);
    await eventually(() => client.status === 'end' && blocking.status === 'end');
  });

  it('starts degraded when Redis does not answer in time', async () => {
    const options = { host: '127.0.0.1', port: await freePort(), startupWait: 100 };
    const app = await Test.createTestingModule({ imports: [RedisModule.forRoot(options)] }).compile();
    const { ms } = await timed(() => app.init());
    expect(ms).toBeLessThan(2000);
    expect(redisHealth(app.get(RedisAvailability))).toEqual({ status: 'degraded', state: 'refused' });
    await app.close();
  });

  it('is absent without options: every command rejects at once', async () => {
    const app = await Test.createTestingModule({ imports: [RedisModule.forRoot()] }).compile();
    await app.init();
    expect(redisHealth(app.get(RedisAvailability))).toEqual({ status: 'up', state: 'absent' });
    const client = app.get<Redis>(REDIS_CONNECTION);
    const subscriber = app.get(RedisConnections).duplicate('subscriber', 'test');
    const calls = [
      () => client.get('yuxi:a'),
      () => client.evalsha('x', 0),
      () => client.multi().set('yuxi:a', 1).exec(),
      () => subscriber.subscribe('yuxi:a'),
      () => client.connect(),
    ];
    for (const call of calls) {
      const { error } = await timed(call);
      expect(error).toBeInstanceOf(RedisUnavailableError);
      expect(error).toMatchObject({ reason: 'absent', retryable: false });
    }
    const piped = await client.pipeline().get('yuxi:a').exec();
    expect(piped?.[0]?.[0]).toBeInstanceOf(RedisUnavailableError);
    await app.close();
  });

  it('refuses contradicting options', async () => {
    const module = RedisModule.forRoot({ host: 'h', url: 'redis://h' });
    await expect(Test.createTestingModule({ imports: [module] }).compile()).rejects.toThrow(/one at a time/);
  });

  it('needs no more than the rights of the application user', async () => {
    log.length = 0;
    await using redis = open({ host: server.host, port: server.port, username: 'app', password: 'pw' });
    const { client, connections, availability } = redis;
    await eventually(() => availability.state === 'up');
    expect(await client.ping()).toBe('PONG');
    const [sha] = [await client.script('LOAD', "return redis.call('GET', KEYS[1])")];
    expect(await client.evalsha(String(sha), 1, 'yuxi:none')).toBeNull();
    const subscriber = connections.duplicate('subscriber', 'test');
    await eventually(() => subscriber.status === 'ready');
    expect(await subscriber.subscribe('yuxi:test')).toBe(1);
    expect(await subscriber.ping()).toBe('PONG');
    expect(await client.publish('yuxi:test', 'x')).toBe(1);
    await expect(client.flushall()).rejects.toThrow(/NOPERM/);
    await expect(client.get('foreign')).rejects.toThrow(/NOPERM/);
    expect(availability.state).toBe('up');
  });

  it('warns when the server may evict keys', async () => {
    const lines = captureLog();
    await using redis = open({ url: server.url });
    await eventually(() => lines.some((line) => line.includes('maxmemory-policy is allkeys-lru')));
    expect(redis.availability.state).toBe('up');
  });
});
