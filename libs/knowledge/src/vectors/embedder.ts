import { Injectable } from '@nestjs/common';
import { unlessAborted } from '@yuxi/core';
import { EmbeddingModels, type ModelSpec } from '@yuxi/embedding';

/** Texts of one call. Between two calls an abort takes effect. */
const STEP = 256;

export interface EmbeddedTexts {
  /** In the text format of pgvector, one for each text. */
  vectors: string[];
  /** Texts that this call sent to the provider; the others were cached. */
  computed: number;
}

/** Vectors of chunks and questions. */
@Injectable()
export class Embedder {
  constructor(private readonly models: EmbeddingModels) {}

  /**
   * @param progress receives the number of texts that are done
   * @throws the errors of {@link EmbeddingModels.embed}; the reason of `signal`
   */
  async documents(
    model: ModelSpec,
    texts: readonly string[],
    signal: AbortSignal,
    progress: (done: number) => void = () => undefined,
  ): Promise<EmbeddedTexts> {
    const all: EmbeddedTexts = { vectors: [], computed: 0 };
    for (let from = 0; from < texts.length; from += STEP) {
      signal.throwIfAborted();
      // An abort does not wait for a slow provider. The call continues, and its vectors reach the cache.
      const step = this.models.embed(model, 'document', texts.slice(from, from + STEP));
      const { vectors, computed } = await unlessAborted(signal, step);
      for (const vector of vectors) all.vectors.push(vectorText(vector));
      all.computed += computed;
      progress(all.vectors.length);
    }
    return all;
  }

  async query(model: ModelSpec, text: string): Promise<string> {
    const { vectors } = await this.models.embed(model, 'query', [text]);
    return vectorText(vectors[0]!);
  }
}

/** Six digits: two more than a 16-bit number holds. */
const PRECISION = 1e6;

/** A vector in the text format of pgvector, scaled to length 1. A zero vector stays zero. */
function vectorText(vector: Float32Array): string {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  const scale = norm > 0 ? PRECISION / norm : 0;
  const numbers = Array.from(vector, (value) => Math.round(value * scale) / PRECISION);
  return `[${numbers.join(',')}]`;
}
