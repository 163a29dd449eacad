import type { ModelHosts } from './outbound/model-hosts.js';

export interface EmbeddingOptions {
  /** Where models may be. Default: on the public internet, by https. */
  hosts?: ModelHosts;
}

/** Injection token of the {@link EmbeddingOptions}. */
export const EMBEDDING_OPTIONS = Symbol('EMBEDDING_OPTIONS');
