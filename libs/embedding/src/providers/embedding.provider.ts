import type { EmbeddingAnswer } from '@yuxi/cache';

/** Computes vectors of one model. */
export interface EmbeddingProvider {
  /** One vector for each text, in order. */
  embed(texts: readonly string[]): Promise<EmbeddingAnswer>;
  close(): Promise<void>;
}
