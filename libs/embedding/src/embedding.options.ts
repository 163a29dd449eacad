import type { SecretPlaces } from '@yuxi/config-sync';
import type { ModelHosts } from './outbound/model-hosts.js';

export interface EmbeddingOptions {
  /** Where models may be. Default: on the public internet, by https. */
  hosts?: ModelHosts;
  /** Where keys of models may be. Default: `env:YUXI_MODEL_KEY_NAME` and `file:/run/secrets/models/name`. */
  keys?: SecretPlaces;
  /** Value of an environment variable that the key of a model names as `env:NAME`. Default: there are none. */
  variable?: (name: string) => string | undefined;
}

/** Injection token of the {@link EmbeddingOptions}. */
export const EMBEDDING_OPTIONS = Symbol('EMBEDDING_OPTIONS');
