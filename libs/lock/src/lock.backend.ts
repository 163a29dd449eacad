import { YuxiError } from '@yuxi/core';
import type { RedisAvailability, RedisClient, RedisConnections } from '@yuxi/redis';
import { randomBytes } from 'node:crypto';
import { NEVER } from 'rxjs';
import type { LockModuleOptions } from './lock.options.js';
import type { LockStore } from './stores/lock-store.js';
import { RedisLockStore } from './stores/redis/redis-lock.store.js';

/** Injection token of the {@link LockBackend}. */
export const LOCK_BACKEND = Symbol.for('@yuxi/lock:Backend');

/** The store of the locks of the application, and whether it is available. */
export interface LockBackend {
  store: LockStore;
  availability: Pick<RedisAvailability, 'state' | 'reason' | 'changes'>;
  /** First part of every token of this process. */
  process: string;
}

/** Another store than Redis does not report its state: its errors show when it is unavailable. */
const ALWAYS_UP: LockBackend['availability'] = { state: 'up', reason: undefined, changes: NEVER };

/** @throws {YuxiError} `LOCK_STORE_MISSING` when there is neither a store nor a RedisModule */
export function lockBackend(
  { store }: LockModuleOptions,
  redis?: RedisClient,
  connections?: RedisConnections,
  availability?: RedisAvailability,
): LockBackend {
  const process = randomBytes(9).toString('base64url');
  if (store) return { store, availability: ALWAYS_UP, process };
  if (!redis || !connections || !availability)
    throw new YuxiError('LockModule has no store: import RedisModule before it, or give forRoot() a store', {
      code: 'LOCK_STORE_MISSING',
    });
  return { store: new RedisLockStore(redis, connections, process), availability, process };
}
