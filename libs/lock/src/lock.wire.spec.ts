import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RedisServer, startRedis } from '@yuxi/testing';
import { captureLog, type Replica, replica } from '../../../test/support/lock/lock.fixture.js';

/** What a redis-py client does on the wire: plain SET NX PX, poll, and compare-and-delete by script. */
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

describe('lock on the wire', () => {
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

  it('is a plain string with a TTL, which keeps a Python client out', async () => {
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

  it('waits for a Python client and follows its release', async () => {
    const python = new PythonLock(node.redis, 'yuxi:lock:python');
    await python.acquire(60_000);
    expect(await node.locks.tryAcquire('python')).toBeNull();
    const waiting = node.locks.acquire('python', { wait: '5s' });
    expect(await python.release()).toBe(1);
    await using lock = await waiting;
    expect(lock.fence).not.toBeNull();
  });

  it('finds out that a Python client stands in its place', async () => {
    const lock = await node.locks.acquire('replaced');
    const python = new PythonLock(node.redis, 'yuxi:lock:replaced');
    expect(await python.release(lock.token)).toBe(1);
    await python.acquire(60_000);
    expect(await lock.release()).toBe('lost');
    expect(await node.redis.get('yuxi:lock:replaced')).toBe(python.token);
  });

  it('gives every key it writes a TTL', async () => {
    await using lock = await node.locks.acquire(['ttl-a', 'ttl-b']);
    for (const name of lock.names)
      for (const key of [`yuxi:lock:${name}`, `yuxi:lockf:{yuxi:lock:${name}}`])
        expect(await node.redis.pttl(key)).toBeGreaterThan(0);
  });
});
