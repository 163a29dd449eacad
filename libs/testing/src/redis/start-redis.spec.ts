import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { eventually } from '../eventually.js';
import { askRedis } from './ask.js';
import type { RedisServer } from './redis-server.js';
import { startRedis } from './start-redis.js';

describe('startRedis', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis({ password: 'secret', config: ['maxmemory 50mb'] });
  });
  afterAll(() => server.stop());

  it('starts a server that answers at its URL and requires the password', async () => {
    const client = new Redis(server.url);
    expect(await client.ping()).toBe('PONG');
    expect(await client.config('GET', 'maxmemory')).toContain('52428800');
    client.disconnect();
    expect(await askRedis({ host: server.host, port: server.port }, 'PING')).toContain('NOAUTH');
  });

  it('starts a server again on its port, with its data or empty', async () => {
    await askRedis(server, 'SET kept 1');
    const { pid } = server;
    await server.restart({ keepData: true });
    expect(server.pid).not.toBe(pid);
    expect(await askRedis(server, 'GET kept')).toContain('$1');
    await server.restart();
    expect(await askRedis(server, 'GET kept')).toContain('$-1');
  });

  it('pauses a server so that it does not answer, and kills it so that it refuses connections', async () => {
    server.pause();
    expect(await askRedis(server, 'PING', 50)).toBe('');
    server.resume();
    await eventually(async () => (await askRedis(server, 'PING')).includes('+PONG'));
    server.pause();
    await server.kill();
    expect(await askRedis(server, 'PING')).toBe('');
    await server.restart();
    expect(await askRedis(server, 'PING')).toContain('+PONG');
  });

  it('uses TLS with its own certificate authority', async () => {
    const secure = await startRedis({ tls: true });
    try {
      const client = new Redis(secure.url, { tls: { ca: secure.ca } });
      expect(await client.ping()).toBe('PONG');
      client.disconnect();
      const stranger = new Redis(secure.url, { retryStrategy: () => null, lazyConnect: true });
      const reasons: string[] = [];
      stranger.on('error', (error: NodeJS.ErrnoException) => reasons.push(String(error.code)));
      await expect(stranger.connect()).rejects.toThrow();
      expect(reasons).toEqual(['SELF_SIGNED_CERT_IN_CHAIN']);
    } finally {
      await secure.stop();
    }
  });

  it('reports the last lines of a server that cannot start', async () => {
    await expect(startRedis({ config: ['no-such-directive 1'] })).rejects.toThrow(/no-such-directive/);
  });
});
