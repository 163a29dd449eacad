import type { SecretPlaces } from '@yuxi/config-sync';
import type { ModelHosts } from './outbound/model-hosts.js';

export interface EmbeddingOptions {
  /** Hosts at which models may be used. Default: the public internet, by https. */
  hosts?: ModelHosts;
  /** Places from which keys of models may be read. Default: `env:YUXI_MODEL_KEY_NAME` and `file:/run/secrets/models/name`. */
  keys?: SecretPlaces;
  /** Reads an environment variable, for a key of the form `env:NAME`. Default: no variable is set. */
  variable?: (name: string) => string | undefined;
}

/** Injection token of the {@link EmbeddingOptions}. */
export const EMBEDDING_OPTIONS = Symbol('EMBEDDING_OPTIONS');
