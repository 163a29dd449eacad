export * from './cache.module.js';
export type { EmbeddingCacheOptions } from './cache.options.js';
export * from './embedding.cache.js';
export { assertVector, type EmbeddingAnswer, EmbeddingAnswerError, type EmbeddingModel } from './embedding.model.js';
export { type CachedVector, decode, encode, VECTOR_TYPES, type VectorType } from './vector/codec.js';
