import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, type RedisServer, startProxy, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { captureLog, closing, open, timed } from '../../../test/support/redis.fixture.js';
import { RedisUnavailableError } from './redis.errors.js';

describe('a fault of the server or the network', () => {
  let server: RedisServer;
  const log = captureLog();

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  it('a dead server: commands reject at once, and succeed when the server is back', async () => {
    await using redis = open({ host: server.host, port: server.port });
    await eventually(() => redis.availability.state === 'up');
    const states: string[] = [];
    redis.availability.changes.subscribe(({ state }) => states.push(state));
    log.length = 0;
    await server.kill();
    await eventually(() => redis.availability.reason === 'refused');
    const { ms, error } = await timed(() => redis.client.get('yuxi:a'));
    expect(error).toBeInstanceOf(RedisUnavailableError);
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', reason: 'refused', retryable: true });
    expect(ms).toBeLessThan(100);
    await expect(redis.client.multi().set('yuxi:a', 1).exec()).rejects.toBeInstanceOf(RedisUnavailableError);
    const [[pipelined] = []] = (await redis.client.pipeline().get('yuxi:a').exec()) ?? [];
    expect(pipelined).toBeInstanceOf(RedisUnavailableError);

    await server.restart();
    await eventually(() => redis.availability.state === 'up', { timeout: 2000 });
    expect(await redis.client.set('yuxi:a', 1)).toBe('OK');
    expect(states).toEqual(['down', 'up']);
    expect(log.filter((line) => line.includes('unavailable'))).toHaveLength(1);
    expect(log.filter((line) => line.includes('back'))).toHaveLength(1);
  });

  it('a hung server: a command rejects after commandTimeout', async () => {
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    server.pause();
    try {
      const { ms, error } = await timed(() => redis.client.get('yuxi:a'));
      expect(error).toMatchObject({ reason: 'timeout' });
      expect(ms).toBeGreaterThan(150);
      expect(ms).toBeLessThan(1000);
      await eventually(() => redis.availability.state === 'down' && redis.availability.reason === 'timeout');
    } finally {
      server.resume();
    }
    await eventually(() => redis.availability.state === 'up', { timeout: 2000 });
  });

  it('a process that was busy does not time out an answer that has arrived', async () => {
    await using redis = open({ url: server.url, commandTimeout: 50 });
    await eventually(() => redis.availability.state === 'up');
    using control = closing(new Redis(server.url, { commandTimeout: 50 }));
    await eventually(() => control.status === 'ready');
    // From here the event loop runs its timers before it reads from sockets.
    await new Promise(setImmediate);
    const answer = redis.client.get('yuxi:none');
    const controlled = timed(() => control.get('yuxi:none'));
    const end = performance.now() + 300;
    while (performance.now() < end);
    await expect(answer).resolves.toBeNull();
    expect((await controlled).error).toBeDefined();
    expect(redis.availability.state).toBe('up');
  });

  it('a silent link is detected, on idle connections too', async () => {
    const proxy = await startProxy(server);
    try {
      await using redis = open({ host: proxy.host, port: proxy.port });
      const subscriber = redis.connections.duplicate('subscriber', 'test');
      using control = closing(new Redis(proxy.port, proxy.host));
      const all = [subscriber, control];
      await eventually(() => redis.availability.state === 'up' && all.every(({ status }) => status === 'ready'));
      proxy.blackhole();
      await eventually(() => redis.availability.state === 'down' && subscriber.status !== 'ready', { timeout: 8000 });
      expect(control.status).toBe('ready');
      await proxy.heal();
      await eventually(() => redis.availability.state === 'up' && subscriber.status === 'ready', { timeout: 3000 });
    } finally {
      await proxy.stop();
    }
  });

  it('a blocking command rejects on a silent link, but not on a server without data', async () => {
    const proxy = await startProxy(server);
    try {
      await using redis = open({ host: proxy.host, port: proxy.port });
      const blocking = redis.connections.duplicate('blocking', 'test');
      await eventually(() => blocking.status === 'ready');
      await expect(blocking.blpop('yuxi:none', 0.5)).resolves.toBeNull();
      const closed = once(blocking, 'close');
      proxy.blackhole();
      await expect(blocking.blpop('yuxi:none', 0.1)).rejects.toMatchObject({ reason: 'timeout' });
      // Its connection is not used again, even when the link works again.
      await closed;
      await proxy.heal();
      await eventually(() => blocking.blpop('yuxi:none', 0.01).then(() => true), { timeout: 3000 });
    } finally {
      await proxy.stop();
    }
  });

  it('a client that ended is reconnected, and subscribes again', async () => {
    await using redis = open({ url: server.url });
    const subscriber = redis.connections.duplicate('subscriber', 'test');
    subscriber.on('ready', () => void subscriber.subscribe('yuxi:test'));
    const received: string[] = [];
    subscriber.on('message', (_, message) => received.push(message));
    await eventually(() => redis.availability.state === 'up' && subscriber.status === 'ready');
    const ended: string[] = [];
    const control = new Redis(server.url);
    for (const client of [redis.client, subscriber, control]) {
      client.once('end', () => ended.push('end'));
      client.disconnect();
    }
    await eventually(() => ended.length === 3);
    await eventually(async () => {
      await redis.client.publish('yuxi:test', 'again');
      expect(received).toContain('again');
    });
    expect(control.status).toBe('end');
  });

  it('a client whose reconnection timer is lost is reconnected', async () => {
    await using redis = open({ url: server.url });
    await eventually(() => redis.availability.state === 'up');
    await server.kill();
    await eventually(() => redis.client.status === 'reconnecting');
    redis.client.disconnect();
    await server.restart();
    await eventually(() => redis.availability.state === 'up', { timeout: 10_000 });
  });

  it('a client that the application closed is not reconnected', async () => {
    await using redis = open({ url: server.url });
    const own = redis.connections.duplicate('command', 'own') as Redis;
    await eventually(() => own.status === 'ready');
    let connects = 0;
    own.on('connecting', () => connects++);
    await redis.connections.close(own);
    await eventually(() => own.status === 'end');
    const later = Date.now() + 400;
    await eventually(() => Date.now() > later);
    expect(connects).toBe(0);
  });
});
