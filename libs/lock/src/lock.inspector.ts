import { type RedisClient, unavailableReason } from '@yuxi/redis';
import type { Redis } from 'ioredis';
import { LockUnavailableError } from './lock.errors.js';
import { fenceKey, LOCK_PREFIX, lockNameOf, queueKey } from './lock.names.js';
import type { LockState } from './lock.types.js';
import type { RedisLockStore } from './stores/redis/redis-lock.store.js';

/** What operators see of the locks, and the one way to take one away. */
export class LockInspector {
  constructor(
    private readonly redis: RedisClient,
    private readonly store: RedisLockStore,
  ) {}

  inspect(key: string): Promise<LockState> {
    return this.#ask(lockNameOf(key), async () => {
      const [holder, ttl, fence, waiting] = await Promise.all([
        this.redis.get(key),
        this.redis.pttl(key),
        this.redis.get(fenceKey(key)),
        this.redis.llen(queueKey(key)),
      ]);
      return {
        name: lockNameOf(key),
        key,
        held: holder !== null,
        holder,
        ttlMs: ttl < 0 ? null : ttl,
        fence: fence === null ? null : Number(fence),
        waiting,
      };
    });
  }

  list(): Promise<LockState[]> {
    return this.#ask('*', async () => {
      const nodes = 'nodes' in this.redis ? this.redis.nodes('master') : [this.redis];
      const keys = new Set((await Promise.all(nodes.map(scan))).flat());
      const states = await Promise.all([...keys].map((key) => this.inspect(key)));
      return states.filter(({ held }) => held).sort((a, b) => (a.key < b.key ? -1 : 1));
    });
  }

  forceRelease(key: string): Promise<boolean> {
    return this.#ask(lockNameOf(key), () => this.store.force(key));
  }

  async #ask<T>(name: string, question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      if (error instanceof LockUnavailableError) throw error;
      throw new LockUnavailableError([name], unavailableReason(error) ?? 'error', error);
    }
  }
}

async function scan(node: Redis): Promise<string[]> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, found] = await node.scan(cursor, 'MATCH', `${LOCK_PREFIX}*`, 'COUNT', 1000);
    keys.push(...found);
    cursor = next;
  } while (cursor !== '0');
  return keys;
}
