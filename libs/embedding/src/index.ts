export * from './embedding.errors.js';
export * from './embedding.module.js';
export type { EmbeddingOptions } from './embedding.options.js';
export * from './model/embedding-models.js';
export { MODEL_KEYS, modelSection, type ModelSettings, specOf } from './model/model-settings.js';
export { isLexical, MAX_DIMENSIONS, modelFingerprint, type ModelSpec, modelSpecSchema } from './model/model-spec.js';
export { ModelHosts } from './outbound/model-hosts.js';
export { HASHED_MODEL, hashedVector } from './providers/hashed.provider.js';
