import { Inject, Injectable } from '@nestjs/common';
import { jitter, monotonicMs, OptionsError, sleep } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import { CacheMetrics } from './cache.metrics.js';
import {
  CACHE_OPTIONS,
  type EmbeddingCacheOptions,
  type ResolvedCacheOptions,
  resolveCacheOptions,
} from './cache.options.js';
import { compute } from './embedding.compute.js';
import { modelPrefix, textKey } from './embedding.keys.js';
import type { EmbeddingModel } from './embedding.types.js';
import { Budget } from './tiers/budget.js';
import { MemoryTier } from './tiers/memory.tier.js';
import { RedisTier } from './tiers/redis.tier.js';
import type { CachedVector } from './vector/codec.js';

/** How often a replica looks whether another one has computed a text, milliseconds. */
const LOOK_EVERY = 25;

type Vectors = Map<string, CachedVector>;

/**
 * Vectors of texts: from the process, from Redis, from whoever is computing them, or from the provider. A text that many ask for at
 * once is computed once over all replicas. Redis that is away or slow only means that more is computed.
 */
@Injectable()
export class EmbeddingCache {
  readonly #options: ResolvedCacheOptions;
  readonly #memory: MemoryTier;
  readonly #redis: RedisTier;
  /** What this process is looking for, by key: the batch that has it. */
  readonly #flights = new Map<string, Promise<Vectors>>();

  constructor(
    @Inject(CACHE_OPTIONS) options: EmbeddingCacheOptions,
    @Inject(REDIS_CONNECTION) redis: RedisClient,
    private readonly metrics: CacheMetrics,
  ) {
    this.#options = resolveCacheOptions(options);
    this.#memory = new MemoryTier(this.#options.memory);
    this.#redis = new RedisTier(redis, this.#options, metrics);
  }

  /**
   * @returns one vector for each text, in order. They are shared with other callers: do not change them.
   * @throws what the provider throws; {@link EmbeddingAnswerError}; {@link OptionsError} for a model that cannot be. Never because of Redis.
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
      const vector = this.#memory.get(key);
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
      const flight = this.#fly(model, missing);
      for (const key of missing.keys()) flying.set(key, flight);
    }
    const batches = [...new Set(flying.values())];
    const landed = new Map((await Promise.all(batches)).map((vectors, i) => [batches[i], vectors]));
    for (const [key, flight] of flying) found.set(key, landed.get(flight)!.get(key)!);
    return keys.map((key) => found.get(key)!.vector);
  }

  /** @throws as {@link embedMany} */
  async embed(model: EmbeddingModel, text: string): Promise<Float32Array> {
    return (await this.embedMany(model, [text]))[0]!;
  }

  /** Others of this process who ask for the same join in. */
  #fly(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    const flight = this.#find(model, texts);
    for (const key of texts.keys()) this.#flights.set(key, flight);
    const land = () => {
      for (const key of texts.keys()) this.#flights.delete(key);
    };
    flight.then(land, land);
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
      this.#await(model, pick(texts, others)),
    ]);
    return new Map([...found, ...late, ...computed, ...awaited]);
  }

  /** @returns what this process has to compute, and what is there by now: whoever held a claim may have left a vector since we looked. */
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
      for (const [key, vector] of vectors) this.#memory.put(key, vector);
      this.#redis.put(vectors);
      this.metrics.from('computed', vectors.size);
      return vectors;
    } catch (error) {
      this.#redis.release(texts.keys());
      throw error;
    }
  }

  /**
   * Until the replica that computes them has; one that gives up or dies leaves them to us, and so does a Redis that is silent twice: once
   * may be a busy machine, and we are waiting anyway.
   */
  async #await(model: EmbeddingModel, texts: ReadonlyMap<string, string>): Promise<Vectors> {
    const found: Vectors = new Map();
    const left = new Map(texts);
    const until = monotonicMs() + this.#options.claim;
    let silent = 0;
    while (left.size > 0) {
      await sleep(jitter(LOOK_EVERY), undefined, true);
      const claimed = monotonicMs() < until ? await this.#redis.claimed([...left.keys()]) : new Set<string>();
      silent = claimed ? 0 : silent + 1;
      if (silent === 1) continue;
      // After the claims: one that has just gone has left a vector behind.
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
      this.#memory.put(key, vector);
      saved += vector.tokens;
    }
    this.metrics.from(source, vectors.size, saved);
  }
}

function pick(texts: ReadonlyMap<string, string>, keys: Iterable<string>): Map<string, string> {
  return new Map([...keys].map((key) => [key, texts.get(key)!]));
}

function checkModel({ dimensions, batchSize = 1, model }: EmbeddingModel): void {
  const whole = (option: string, value: number) => {
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw new OptionsError(option, 'an integer 1..65535', value, `embedding model ${model}`);
  };
  whole('dimensions', dimensions);
  whole('batchSize', batchSize);
}
