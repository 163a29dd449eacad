import { EmbeddingAnswerError } from './cache.errors.js';
import type { EmbeddingModel } from './embedding.types.js';
import type { CachedVector } from './vector/codec.js';

const BATCH = 64;

/**
 * Asks the provider for texts, in batches.
 * @param texts by key
 * @throws {EmbeddingAnswerError} for an answer that cannot be used; what the provider throws
 */
export async function compute(
  model: EmbeddingModel,
  texts: ReadonlyMap<string, string>,
): Promise<Map<string, CachedVector>> {
  const all = [...texts];
  const size = model.batchSize ?? BATCH;
  const batches = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
  const computed = await Promise.all(batches.map((batch) => computeBatch(model, batch)));
  return new Map(computed.flat());
}

async function computeBatch(
  model: EmbeddingModel,
  batch: readonly (readonly [key: string, text: string])[],
): Promise<[string, CachedVector][]> {
  const { vectors, tokens = 0 } = await model.embed(batch.map(([, text]) => text));
  if (vectors.length !== batch.length)
    throw new EmbeddingAnswerError(model.model, `${vectors.length} vectors for ${batch.length} texts`);
  const characters = batch.reduce((sum, [, text]) => sum + text.length, 0);
  return batch.map(([key, text], i) => {
    const vector = Float32Array.from(vectors[i]!);
    assertVector(model, vector);
    return [key, { vector, tokens: characters === 0 ? 0 : Math.round((tokens * text.length) / characters) }];
  });
}

/** @throws {EmbeddingAnswerError} unless it is a vector of finite numbers of the model's length */
export function assertVector(
  { model, dimensions }: Pick<EmbeddingModel, 'model' | 'dimensions'>,
  vector: Float32Array,
): void {
  if (vector.length !== dimensions)
    throw new EmbeddingAnswerError(model, `a vector of ${vector.length} dimensions instead of ${dimensions}`);
  // One that is not finite makes the sum so.
  const sum = vector.reduce((total, value) => total + value * value, 0);
  if (!Number.isFinite(sum)) throw new EmbeddingAnswerError(model, 'a vector with numbers that are not finite');
}
