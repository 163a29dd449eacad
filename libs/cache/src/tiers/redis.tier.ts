import { jitter } from '@yuxi/core';
import { type RedisClient, slotOf } from '@yuxi/redis';
import type { CacheMetrics } from '../cache.metrics.js';
import type { ResolvedCacheOptions } from '../cache.options.js';
import { type CachedVector, decode, encode } from '../vector/codec.js';
import { Breaker, Budget } from './budget.js';

const CLAIM = ':c';

/**
 * Vectors in Redis, and claims of replicas that are computing them. No method throws. When Redis is unavailable or too slow, no vector is
 * found and every claim is granted.
 */
export class RedisTier {
  readonly #breaker: Breaker;

  constructor(
    private readonly redis: RedisClient,
    private readonly options: ResolvedCacheOptions,
    private readonly metrics: CacheMetrics,
  ) {
    this.#breaker = new Breaker(options.pause);
  }

  /** @param left rest of the budget of the batch @returns by key */
  async get(keys: readonly string[], dimensions: number, left: Budget): Promise<Map<string, CachedVector>> {
    const found = new Map<string, CachedVector>();
    if (keys.length === 0) return found;
    const read = async (group: readonly string[]) => {
      const values = await this.redis.mgetBuffer(...group);
      values.forEach((value, i) => {
        const vector = value && decode(value, this.options.type, dimensions);
        if (vector) found.set(group[i]!, vector);
      });
    };
    await this.#try(left, () => Promise.all(this.#bySlot(keys).map(read)));
    return found;
  }

  /** Claims texts for this process to compute. @returns those that no other process has claimed; all of them when Redis fails */
  async claim(keys: readonly string[], left: Budget): Promise<Set<string>> {
    if (keys.length === 0) return new Set();
    const one = (key: string) => this.redis.set(key + CLAIM, '1', 'PX', this.options.claim, 'NX');
    const answers = await this.#try(left, () => Promise.all(keys.map(one)));
    return new Set(answers ? keys.filter((_, i) => answers[i] === 'OK') : keys);
  }

  /** The keys that are still claimed; `undefined` when Redis fails. */
  async claimed(keys: readonly string[]): Promise<Set<string> | undefined> {
    const one = (key: string) => this.redis.exists(key + CLAIM);
    const answers = await this.#try(new Budget(this.options.budget), () => Promise.all(keys.map(one)));
    return answers && new Set(keys.filter((_, i) => answers[i] === 1));
  }

  /** Stores vectors and releases their claims, in the background. */
  put(vectors: ReadonlyMap<string, CachedVector>): void {
    if (this.#breaker.open) return;
    const { type, ttl } = this.options;
    for (const [key, vector] of vectors) {
      const px = Math.round(jitter(ttl, 0.1));
      // The claim is deleted after the vector is stored, so that waiting replicas always find one of them.
      const kept = this.redis.set(key, encode(vector, type), 'PX', px);
      kept.then(() => this.redis.del(key + CLAIM)).catch(() => undefined);
    }
  }

  /** Releases claims without a vector. */
  release(keys: Iterable<string>): void {
    if (this.#breaker.open) return;
    for (const key of keys) this.redis.del(key + CLAIM).catch(() => undefined);
  }

  async #try<T>(left: Budget, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#breaker.open || left.isSpent) {
      this.metrics.skipped();
      return undefined;
    }
    try {
      const result = await left.within(work());
      this.#breaker.succeeded();
      return result;
    } catch {
      this.#breaker.failed();
      left.spend();
      this.metrics.skipped();
      return undefined;
    }
  }

  /** On a Cluster, one command cannot read keys of several slots. */
  #bySlot(keys: readonly string[]): string[][] {
    if (!this.redis.isCluster) return [[...keys]];
    const groups = new Map<number, string[]>();
    for (const key of keys) {
      const group = groups.get(slotOf(key));
      if (group) group.push(key);
      else groups.set(slotOf(key), [key]);
    }
    return [...groups.values()];
  }
}
