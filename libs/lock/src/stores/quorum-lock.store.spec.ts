import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Client, freshKey } from '../../../../test/support/lock/lock-store.fixture.js';
import { QuorumLockStore } from './quorum-lock.store.js';

describe('quorum of three nodes', () => {
  let servers: RedisServer[];
  let nodes: Redis[];
  let client: Client;

  beforeAll(async () => {
    servers = [await startRedis(), await startRedis(), await startRedis()];
    nodes = servers.map(({ host, port }) => new Redis({ host, port, commandTimeout: 1000 }));
    client = await Client.of(async () => new QuorumLockStore(nodes, { nodeTimeoutMs: 300 }));
  });
  afterAll(async () => {
    await client.store.close();
    for (const node of nodes) node.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('writes a plain key with a TTL to every node', async () => {
    const request = client.request(freshKey());
    await client.store.acquire(request);
    for (const node of nodes) {
      expect(await node.get(request.key)).toBe(request.token);
      expect(await node.pttl(request.key)).toBeGreaterThan(10_000);
    }
    expect(await client.store.release(request.key, request.token)).toBe('released');
    for (const node of nodes) expect(await node.exists(request.key)).toBe(0);
  });

  it('withdraws a minority that it got, and keeps the keys of others', async () => {
    const request = client.request(freshKey());
    await nodes[0]!.set(request.key, 'other');
    await nodes[1]!.set(request.key, 'other');
    expect(await client.store.acquire(request)).toBeNull();
    expect(await nodes[2]!.exists(request.key)).toBe(0);
    expect(await nodes[0]!.get(request.key)).toBe('other');
  });

  it('a lock is lost with the majority of its keys', async () => {
    const request = client.request(freshKey());
    await client.store.acquire(request);
    await nodes[0]!.del(request.key);
    expect(await client.store.renew(request.key, request.token, 5000)).toBe(true);
    await nodes[1]!.del(request.key);
    expect(await client.store.renew(request.key, request.token, 5000)).toBe(false);
    expect(await client.store.release(request.key, request.token)).toBe('lost');
    expect(await nodes[2]!.exists(request.key)).toBe(0);
  });

  it('grants no lock that has expired before the answer', async () => {
    const request = client.request(freshKey(), 0, { ttlMs: 2 });
    expect(await client.store.acquire(request)).toBeNull();
  });

  it('works while one node hangs, and rejects while two do', async () => {
    const request = client.request(freshKey());
    const { key, token } = request;
    servers[0]!.pause();
    try {
      expect(await client.store.acquire(request)).not.toBeNull();
      expect(await client.store.acquire(client.request(key))).toBeNull();
      expect(await client.store.renew(key, token, 20_000)).toBe(true);
      servers[1]!.pause();
      const unavailable = expect.objectContaining({ code: 'REDIS_UNAVAILABLE', reason: 'timeout' });
      await expect(client.store.renew(key, token, 20_000)).rejects.toEqual(unavailable);
      await expect(client.store.acquire(client.request(key, 5000))).rejects.toEqual(unavailable);
      servers[1]!.resume();
      expect(await client.store.release(key, token)).toBe('released');
    } finally {
      for (const server of servers) server.resume();
    }
  });
});
