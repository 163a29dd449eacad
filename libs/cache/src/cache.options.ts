import { type Duration, OptionsError, toMs } from '@yuxi/core';
import { VECTOR_TYPES, type VectorType } from './vector/codec.js';

export interface EmbeddingCacheOptions {
  /** How vectors lie in Redis. Default `float16`. */
  type?: VectorType;
  /** Bytes of vectors kept in the process, 0 for none. Default 64 MiB. */
  memory?: number;
  /** How long a vector stays in Redis, ±10 %. Default 30 d. */
  ttl?: Duration;
  /** How long Redis is waited for, for a batch; then the vectors are computed. Default 40 ms: timers come late, and it may not add 50. */
  budget?: Duration;
  /** How long Redis is not asked after three batches for which it was too slow or away. Default 5 s. */
  pause?: Duration;
  /** How long a replica waits for the one that is computing a text, at most. Default 30 s. */
  claim?: Duration;
}

export interface ResolvedCacheOptions {
  type: VectorType;
  memory: number;
  /** Milliseconds, as all that follow. */
  ttl: number;
  budget: number;
  pause: number;
  claim: number;
}

/** Injection token of the {@link EmbeddingCacheOptions}. */
export const CACHE_OPTIONS = Symbol('CACHE_OPTIONS');

const YEAR = 365 * 86_400_000;

/** @throws {OptionsError} naming the option that breaks its rule */
export function resolveCacheOptions(options: EmbeddingCacheOptions): ResolvedCacheOptions {
  const { type = 'float16', memory = 64 * 1024 * 1024 } = options;
  const where = 'EmbeddingCacheModule';
  if (!VECTOR_TYPES.includes(type)) throw new OptionsError('type', VECTOR_TYPES.join(', '), type, where);
  if (!Number.isInteger(memory) || memory < 0)
    throw new OptionsError('memory', 'a number of bytes, 0 for none', memory, where);
  return {
    type,
    memory,
    ttl: toMs('ttl', options.ttl ?? '30d', { min: 1000, max: YEAR, where }),
    budget: toMs('budget', options.budget ?? 40, { where }),
    pause: toMs('pause', options.pause ?? '5s', { where }),
    claim: toMs('claim', options.claim ?? '30s', { min: 100, where }),
  };
}
