import { Injectable } from '@nestjs/common';
import { unlessAborted } from '@yuxi/core';
import { EmbeddingModels, type ModelSpec } from '@yuxi/embedding';

import { vectorText } from './vector-text.js';

/** Texts of one step: after each, somebody who wants to stop is heard. */
const STEP = 256;

export interface EmbeddedTexts {
  /** As SQL reads them, one for each text. */
  vectors: string[];
  /** Texts that the provider was asked for by this call. */
  computed: number;
}

/** Vectors of chunks. */
@Injectable()
export class Embedder {
  constructor(private readonly models: EmbeddingModels) {}

  /**
   * @param progress is told how many texts are done
   * @throws what {@link EmbeddingModels.embed} throws; the reason of `signal`
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
      // A provider that is slow goes on for the cache; nobody who was cancelled waits for it.
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
