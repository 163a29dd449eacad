import { defineScript, type RedisClient } from '@yuxi/redis';
import { fenceKey } from '../lock.names.js';
import type { Grant, LockStore, Refusal } from './lock-store.js';

const ACQUIRE = defineScript('lock-acquire', new URL('../lua/acquire.lua', import.meta.url), 2);
const RENEW = defineScript('lock-renew', new URL('../lua/renew.lua', import.meta.url), 1);
const RELEASE = defineScript('lock-release', new URL('../lua/release.lua', import.meta.url), 1);

/** How long the last fence of a name is remembered after its last grant. */
export const FENCE_TTL_MS = 7 * 86_400_000;

/** One plain string key per lock, as other systems write it with `SET key token NX PX ms`. */
export class RedisLockStore implements LockStore {
  readonly degraded = false;

  constructor(private readonly redis: RedisClient) {}

  async acquire(key: string, token: string, ttlMs: number): Promise<Grant | Refusal> {
    const answer = await ACQUIRE.run(this.redis, [key, fenceKey(key)], [token, ttlMs, FENCE_TTL_MS]);
    const [granted, value] = answer as [number, string | number];
    if (granted === 1) return { fence: Number(value) };
    return { expiresInMs: Number(value) < 0 ? null : Number(value) };
  }

  async renew(key: string, token: string, ttlMs: number): Promise<boolean> {
    return (await RENEW.run(this.redis, [key], [token, ttlMs])) === 1;
  }

  async release(key: string, token: string): Promise<boolean> {
    return (await RELEASE.run(this.redis, [key], [token])) === 1;
  }
}
