/** A model as the cache sees it. What tells its vectors from those of others is part of every key. */
export interface EmbeddingModel {
  /** Base URL of the provider, or another name of the place that computes. */
  endpoint: string;
  model: string;
  /** Of the model, when the provider tells. Raise it to leave all old vectors behind. Default none. */
  revision?: string;
  /** 1..65535. */
  dimensions: number;
  /** What is put before each text: queries and documents have different ones with some models, and so different vectors. Default none. */
  prefix?: string;
  /** Most texts in one call of the provider. Default 64. */
  batchSize?: number;
  /**
   * Asks the provider, once for each text that is in no tier.
   * @param texts as given to the cache, without the prefix
   * @throws whatever it likes: the callers that wait for these texts get it, and nothing is kept
   */
  embed(texts: readonly string[]): Promise<EmbeddingAnswer>;
}

export interface EmbeddingAnswer {
  /** One for each text, in order. */
  vectors: readonly (Float32Array | readonly number[])[];
  /** Of the whole call, as the provider counts. */
  tokens?: number;
}
