import { type Duration, integerOption, OptionsError, toMs } from '@yuxi/core';
import { VECTOR_TYPES, type VectorType } from './vector/codec.js';

export interface EmbeddingCacheOptions {
  /** Format of vectors in Redis. Default `float16`. */
  type?: VectorType;
  /** Bytes of vectors in the memory of the process; 0: none. Default 64 MiB. */
  memory?: number;
  /** How long a vector stays in Redis, ±10 %. Default 30 d. */
  ttl?: Duration;
  /** Longest time that Redis may add to a batch; then the vectors are computed. Default 40 ms, so that late timers stay under 50 ms. */
  budget?: Duration;
  /** How long Redis is not asked after three batches in a row for which it was too slow or unavailable. Default 5 s. */
  pause?: Duration;
  /** Longest time that a replica waits for another one that is computing a text. Default 30 s. */
  claim?: Duration;
}

export interface ResolvedCacheOptions {
  type: VectorType;
  memory: number;
  /** Milliseconds, as the following options. */
  ttl: number;
  budget: number;
  pause: number;
  claim: number;
}

/** Injection token of the {@link EmbeddingCacheOptions}. */
export const CACHE_OPTIONS = Symbol('CACHE_OPTIONS');

const YEAR = 365 * 86_400_000;

/** @throws {OptionsError} an invalid option */
export function resolveCacheOptions(options: EmbeddingCacheOptions): ResolvedCacheOptions {
  const { type = 'float16', memory = 64 * 1024 * 1024 } = options;
  const where = 'EmbeddingCacheModule';
  if (!VECTOR_TYPES.includes(type)) throw new OptionsError('type', `one of ${VECTOR_TYPES.join(', ')}`, type, where);
  integerOption('memory', memory, { min: 0, where });
  return {
    type,
    memory,
    ttl: toMs('ttl', options.ttl ?? '30d', { min: 1000, max: YEAR, where }),
    budget: toMs('budget', options.budget ?? 40, { where }),
    pause: toMs('pause', options.pause ?? '5s', { where }),
    claim: toMs('claim', options.claim ?? '30s', { min: 100, where }),
  };
}
