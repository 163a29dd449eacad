export * from './cache.errors.js';
export * from './cache.module.js';
export type { EmbeddingCacheOptions } from './cache.options.js';
export * from './embedding.cache.js';
export { assertVector } from './embedding.compute.js';
export * from './embedding.types.js';
export { type CachedVector, decode, encode, VECTOR_TYPES, type VectorType } from './vector/codec.js';
