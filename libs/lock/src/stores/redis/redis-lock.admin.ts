import type { RedisClient } from '@yuxi/redis';
import type { Redis } from 'ioredis';
import { fenceKey, LOCK_PREFIX, lockNameOf, queueKey } from '../../lock.names.js';
import type { LockState } from '../../lock.types.js';
import type { LockAdmin } from '../lock-store.js';
import type { LockWire } from './lock-wire.js';

/** Sees the locks of all processes, and those of any other system that uses the prefix. */
export class RedisLockAdmin implements LockAdmin {
  constructor(
    private readonly redis: RedisClient,
    private readonly wire: LockWire,
  ) {}

  async inspect(key: string): Promise<LockState> {
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
  }

  async list(): Promise<LockState[]> {
    const nodes = 'nodes' in this.redis ? this.redis.nodes('master') : [this.redis];
    const keys = new Set((await Promise.all(nodes.map(scan))).flat());
    const states = await Promise.all([...keys].map((key) => this.inspect(key)));
    return states.filter(({ held }) => held).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async force(key: string): Promise<boolean> {
    return (await this.wire.send('force', key)) === 1;
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
