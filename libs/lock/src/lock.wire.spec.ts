import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

/** The commands of a redis-py client: plain SET NX PX, poll, and compare-and-delete by script. */
class PythonLock {
  readonly token = randomUUID().replaceAll('-', '');

  constructor(
    private readonly redis: Replica['redis'],
    private readonly name: string,
  ) {}

  async acquire(ms: number): Promise<boolean> {
    return (await this.redis.set(this.name, this.token, 'PX', ms, 'NX')) === 'OK';
  }

  async release(token = this.token): Promise<number> {
    const script = `local t = redis.call('get', KEYS[1]) if not t or t ~= ARGV[1] then return 0 end
      redis.call('del', KEYS[1]) return 1`;
    return Number(await this.redis.eval(script, 1, this.name, token));
  }
}

describe('the keys of a lock', () => {
  let server: RedisServer;
  let node: Replica;

  beforeAll(async () => {
    captureLog();
    server = await startRedis();
    node = await replica({ url: server.url });
  });
  afterAll(async () => {
    await node.app.close();
    await server.stop();
  });

  it('a lock is a plain string with a TTL, which excludes a Python client', async () => {
    await using lock = await node.locks.acquire('index_kb_1', { ttl: '30s' });
    expect(await node.redis.type('yuxi:lock:index_kb_1')).toBe('string');
    expect(await node.redis.get('yuxi:lock:index_kb_1')).toBe(lock.token);
    expect(await node.redis.pttl('yuxi:lock:index_kb_1')).toBeGreaterThan(29_000);
    const python = new PythonLock(node.redis, 'yuxi:lock:index_kb_1');
    expect(await python.acquire(1000)).toBe(false);
    expect(await python.release()).toBe(0);
    expect(await lock.release()).toBe('released');
    expect(await python.acquire(1000)).toBe(true);
    expect(await python.release()).toBe(1);
  });

  it('a waiter gets the lock after a Python client has released it', async () => {
    const python = new PythonLock(node.redis, 'yuxi:lock:python');
    await python.acquire(60_000);
    expect(await node.locks.tryAcquire('python')).toBeNull();
    const waiting = node.locks.acquire('python', { wait: '5s' });
    expect(await python.release()).toBe(1);
    await using lock = await waiting;
    expect(lock.fence).not.toBeNull();
  });

  it('a release returns lost when a Python client holds the key', async () => {
    const lock = await node.locks.acquire('replaced');
    const python = new PythonLock(node.redis, 'yuxi:lock:replaced');
    expect(await python.release(lock.token)).toBe(1);
    await python.acquire(60_000);
    expect(await lock.release()).toBe('lost');
    expect(await node.redis.get('yuxi:lock:replaced')).toBe(python.token);
  });

  it('every key has a TTL', async () => {
    await using lock = await node.locks.acquire(['ttl-a', 'ttl-b']);
    for (const name of lock.names)
      for (const key of [`yuxi:lock:${name}`, `yuxi:lockf:{yuxi:lock:${name}}`])
        expect(await node.redis.pttl(key)).toBeGreaterThan(0);
  });
});
