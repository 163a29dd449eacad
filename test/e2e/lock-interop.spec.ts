import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { lockKey } from '@yuxi/lock';
import { type RedisServer, reportSkip, startRedis } from '@yuxi/testing';
import { type Replica, replica } from '../support/lock/lock.fixture.js';

const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('../support/lock/redis_py_lock.py', import.meta.url));
const present = spawnSync(PYTHON, ['-c', 'import redis'], { stdio: 'ignore' }).status === 0;

/** One Python process with redis-py. */
class Python {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(port: number) {
    this.#child = spawn(PYTHON, [SCRIPT, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout! });
  }

  async send(order: { do: 'acquire' | 'release'; name: string; timeout?: number; wait?: number }): Promise<object> {
    const answer = once(this.#lines, 'line');
    this.#child.stdin!.write(`${JSON.stringify(order)}\n`);
    return JSON.parse(((await answer) as [string])[0]) as object;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

if (!present) {
  it('excludes redis-py', () => {
    reportSkip('locks shared with redis-py', `${PYTHON} has no module redis (python3-redis)`);
    expect(present).toBe(false);
  });
} else {
  describe('F17 a lock shared with redis-py', () => {
    let server: RedisServer;
    let node: Replica;
    let python: Python;
    let name = '';
    let key = '';
    let count = 0;
    beforeAll(async () => {
      server = await startRedis();
      node = await replica({ url: server.url });
    });
    beforeEach(() => {
      python = new Python(server.port);
      name = `shared ${++count}`;
      key = lockKey(name);
    });
    afterEach(() => python.kill());
    afterAll(async () => {
      await node.app.close();
      await server.stop();
    });

    it('a Python owner excludes Node', async () => {
      expect(await python.send({ do: 'acquire', name: key, timeout: 10 })).toEqual({ taken: true });
      expect(await node.locks.tryAcquire(name)).toBeNull();
      expect(await python.send({ do: 'release', name: key })).toEqual({ released: true });
      await using lock = await node.locks.acquire(name, { wait: false });
      expect(lock.fence).toBeGreaterThan(0);
    });

    it('a Node owner excludes Python, also while the lock passes from one Node waiter to the next', async () => {
      const lock = await node.locks.acquire(name);
      const next = node.locks.acquire(name, { wait: '5s' });
      expect(await python.send({ do: 'acquire', name: key, timeout: 10 })).toEqual({ taken: false });
      expect(await lock.release()).toBe('handed-off');
      expect(await python.send({ do: 'acquire', name: key, timeout: 10 })).toEqual({ taken: false });
      expect(await (await next).release()).toBe('released');
      expect(await python.send({ do: 'acquire', name: key, timeout: 10 })).toEqual({ taken: true });
    });

    it('a waiting Node caller gets the lock after Python has released it', async () => {
      await python.send({ do: 'acquire', name: key, timeout: 10 });
      const waiting = node.locks
        .acquire(name, { wait: '5s', interop: true })
        .then((lock) => ({ lock, at: monotonicMs() }));
      await node.locks.tryAcquire(name); // One round trip after the request of the waiter: it is in the queue.
      await python.send({ do: 'release', name: key });
      const released = monotonicMs();
      const { lock, at } = await waiting;
      console.info(`lock: Node served ${Math.round(at - released)} ms after Python released`);
      expect(await lock.release()).toBe('released');
    });

    it('the lock of a killed Python process expires', async () => {
      await python.send({ do: 'acquire', name: key, timeout: 0.5 });
      await python.kill();
      await using lock = await node.locks.acquire(name, { wait: '5s' });
      expect(lock.degraded).toBe(false);
    });

    it('a Python lock without timeout never expires, and can be force-released', async () => {
      await python.send({ do: 'acquire', name: key });
      await python.kill();
      expect(await node.locks.tryAcquire(name)).toBeNull();
      expect(await node.locks.inspect(name)).toMatchObject({ held: true, ttlMs: null });
      const waiting = node.locks.acquire(name, { wait: '5s' });
      expect(await node.locks.forceRelease(name)).toBe(true);
      expect(await (await waiting).release()).toBe('released');
    });

    it('each side detects that its lock was taken', async () => {
      await python.send({ do: 'acquire', name: key, timeout: 10 });
      await node.locks.forceRelease(name);
      const lock = await node.locks.acquire(name);
      expect(await python.send({ do: 'release', name: key })).toEqual({ error: 'LockNotOwnedError' });
      expect(await node.locks.tryAcquire(name)).toBeNull();
      await node.redis.del(key);
      expect(await python.send({ do: 'acquire', name: key, timeout: 10 })).toEqual({ taken: true });
      expect(await lock.release()).toBe('lost');
      expect(await python.send({ do: 'release', name: key })).toEqual({ released: true });
    });
  });
}
