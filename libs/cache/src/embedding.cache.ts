import { Inject, Injectable } from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import { LRUCache } from 'lru-cache';
import { CacheMetrics } from './cache.metrics.js';
import {
  CACHE_OPTIONS,
  type EmbeddingCacheOptions,
  type ResolvedCacheOptions,
  resolveCacheOptions,
} from './cache.options.js';
import { checkModel, compute, type EmbeddingModel, modelPrefix, textKey } from './embedding.model.js';
import { Budget } from './tiers/budget.js';
import { RedisTier } from './tiers/redis.tier.js';
import type { CachedVector } from './vector/codec.js';

/** How often a replica checks whether another one has computed a text, milliseconds. */
const CHECK_EVERY = 25;
/** Approximate size of a cache entry in bytes, without the numbers of the vector. */
const OVERHEAD = 400;

type Vectors = Map<string, CachedVector>;

/**
 * Vectors of texts, from the memory of the process, from Redis, from another caller that is computing them, or from the provider. A text
 * that many callers need at once is computed once by all replicas. When Redis is unavailable or slow, more is computed.
 */
@Injectable()
export class EmbeddingCache {
  readonly #options: ResolvedCacheOptions;
  readonly #memory?: LRUCache<string, CachedVector>;
  readonly #redis: RedisTier;
  /** Batches in progress in this process, by the key of each text in them. */
  readonly #flights = new Map<string, Promise<Vectors>>();

  constructor(
    @Inject(CACHE_OPTIONS) options: EmbeddingCacheOptions,
    @Inject(REDIS_CONNECTION) redis: RedisClient,
    private readonly metrics: CacheMetrics,
  ) {
    this.#options = resolveCacheOptions(options);
    const { memory: maxSize } = this.#options;
    if (maxSize > 0)
      this.#memory = new LRUCache({ maxSize, sizeCalculation: ({ vector }) => vector.byteLength + OVERHEAD });
    this.#redis = new RedisTier(redis, this.#options, metrics);
  }

  /**
   * @returns one vector for each text, in order. Other callers share them, so do not change them.
   * @throws errors of the provider; {@link EmbeddingAnswerError}; {@link OptionsError} for an invalid model. Never an error of Redis.
   */
  async embedMany(model: EmbeddingModel, texts: readonly string[]): Promise<Float32Array[]> {
    checkModel(model);
    const prefix = modelPrefix(model, this.#options.type);
    const keys = texts.map((text) => textKey(prefix, text));
    const found: Vectors = new Map();
    const flying = new Map<string, Promise<Vectors>>();
    const missing = new Map<string, string>();
    let saved = 0;
    for (const [i, key] of keys.entries()) {
      if (found.has(key) || flying.has(key) || missing.has(key)) continue;
      const vector = this.#memory?.get(key);
      const flight = this.#flights.get(key);
      if (vector) {
        found.set(key, vector);
        saved += vector.tokens;
      } else if (flight) flying.set(key, flight);
      else missing.set(key, texts[i]!);
    }
    this.metrics.from('memory', found.size, saved);
    this.metrics.from('coalesced', flying.size);
    if (missing.size > 0) {
      const flight = this.#startFlight(model, missing);
      for (const key of missing.keys()) flying.set(key, flight);
    }
    const batches = [...new Set(flying.values())];
    const results = new Map((await Promise.all(batches)).map((vectors, i) => [batches[i], vectors]));
    for (const [key, flight] of flying) found.set(key, results.get(flight)!.get(key)!);
    return keys.map((key) => found.get(key)!.vector);
  }

  /** @throws as {@link embedMany} */
  async embed(model: EmbeddingModel, text: string): Promise<Float32Array> {
    return (await this.embedMany(model, [text]))[0]!;
  }

  /** Starts a batch. Other callers of this process that need one of its texts wait for it. */
  #startFlight(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    const flight = this.#find(model, texts);
    for (const key of texts.keys()) this.#flights.set(key, flight);
    const end = () => {
      for (const key of texts.keys()) this.#flights.delete(key);
    };
    flight.then(end, end);
    return flight;
  }

  async #find(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    const left = new Budget(this.#options.budget);
    const found = await this.#redis.get([...texts.keys()], model.dimensions, left);
    this.#fromRedis('redis', found);
    const missing = [...texts.keys()].filter((key) => !found.has(key));
    if (missing.length === 0) return found;
    const { mine, late } = await this.#claim(missing, model.dimensions, left);
    const others = missing.filter((key) => !mine.has(key) && !late.has(key));
    const [computed, awaited] = await Promise.all([
      this.#compute(model, pick(texts, mine)),
      this.#awaitOthers(model, pick(texts, others)),
    ]);
    return new Map([...found, ...late, ...computed, ...awaited]);
  }

  /** @returns `mine`: keys that this process has to compute; `late`: vectors that another replica has stored since the first read */
  async #claim(
    keys: readonly string[],
    dimensions: number,
    left: Budget,
  ): Promise<{ mine: Set<string>; late: Vectors }> {
    const mine = await this.#redis.claim(keys, left);
    const late = await this.#redis.get([...mine], dimensions, left);
    for (const key of late.keys()) mine.delete(key);
    this.#redis.release(late.keys());
    this.#fromRedis('coalesced', late);
    return { mine, late };
  }

  async #compute(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    if (texts.size === 0) return new Map();
    try {
      const vectors = await compute(model, texts);
      for (const [key, vector] of vectors) this.#memory?.set(key, vector);
      this.#redis.put(vectors);
      this.metrics.from('computed', vectors.size);
      return vectors;
    } catch (error) {
      this.#redis.release(texts.keys());
      throw error;
    }
  }

  /**
   * Waits for vectors that other replicas are computing. This process computes them itself when the other replica fails or ends, or when
   * Redis does not answer twice in a row. A single missing answer may only mean that the machine is busy.
   */
  async #awaitOthers(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    const found: Vectors = new Map();
    const left = new Map(texts);
    const until = monotonicMs() + this.#options.claim;
    let silent = 0;
    while (left.size > 0) {
      await sleep(jitter(CHECK_EVERY), undefined, true);
      const claimed = monotonicMs() < until ? await this.#redis.claimed([...left.keys()]) : new Set<string>();
      silent = claimed ? 0 : silent + 1;
      if (silent === 1) continue;
      // Read after the claims: a replica stores the vector before it deletes its claim.
      const here = await this.#redis.get([...left.keys()], model.dimensions, new Budget(this.#options.budget));
      this.#fromRedis('coalesced', here);
      for (const [key, vector] of here) {
        found.set(key, vector);
        left.delete(key);
      }
      const free = [...left.keys()].filter((key) => !claimed?.has(key));
      const { mine, late } = await this.#claim(free, model.dimensions, new Budget(this.#options.budget));
      if (monotonicMs() >= until) for (const key of free) if (!late.has(key)) mine.add(key);
      for (const [key, vector] of [...late, ...(await this.#compute(model, pick(left, mine)))]) {
        found.set(key, vector);
        left.delete(key);
      }
    }
    return found;
  }

  #fromRedis(source: 'redis' | 'coalesced', vectors: Vectors): void {
    let saved = 0;
    for (const [key, vector] of vectors) {
      this.#memory?.set(key, vector);
      saved += vector.tokens;
    }
    this.metrics.from(source, vectors.size, saved);
  }
}

function pick(texts: ReadonlyMap<string, string>, keys: Iterable<string>): Map<string, string> {
  return new Map([...keys].map((key) => [key, texts.get(key)!]));
}
