import { hash } from 'node:crypto';
import { integerOption, YuxiError } from '@yuxi/core';
import type { CachedVector, VectorType } from './vector/codec.js';

/** A model that makes vectors. Everything that changes its vectors is part of their keys. */
export interface EmbeddingModel {
  /** Base URL of the provider, or another name of the place where vectors are computed. */
  endpoint: string;
  model: string;
  /** Version of the model, when the provider has one. Change it to stop using all earlier vectors. Default none. */
  revision?: string;
  /** 1..65535. */
  dimensions: number;
  /** Text before each text. Some models need different ones for queries and documents, and make different vectors then. Default none. */
  prefix?: string;
  /** Most texts in one call of the provider. Default 64. */
  batchSize?: number;
  /**
   * Calls the provider, once for each text that is not cached.
   * @param texts as given to the cache, without the prefix
   * @throws any error. All callers that wait for these texts receive it, and nothing is stored.
   */
  embed(texts: readonly string[]): Promise<EmbeddingAnswer>;
}

export interface EmbeddingAnswer {
  /** One for each text, in order. */
  vectors: readonly (Float32Array | readonly number[])[];
  /** Tokens of the whole call, as the provider counts them. */
  tokens?: number;
}

/** The provider's answer is not one vector of finite numbers for each text. Code `EMBEDDING_ANSWER`, retryable. Nothing was stored. */
export class EmbeddingAnswerError extends YuxiError {
  constructor(model: string, problem: string, cause?: unknown) {
    super(`embedding model ${model}: ${problem}`, { code: 'EMBEDDING_ANSWER', retryable: true, cause });
  }
}

/** @throws {OptionsError} dimensions or batch size out of range */
export function checkModel({ dimensions, batchSize = 1, model }: EmbeddingModel): void {
  const rule = { max: 65_535, where: `embedding model ${model}` };
  integerOption('dimensions', dimensions, rule);
  integerOption('batchSize', batchSize, rule);
}

/** Layout of keys and values. A version of this library with another number does not read them. */
const LAYOUT = 1;

const digest = (text: string) => hash('sha256', text, 'base64url');

/** Beginning of all keys of a model. */
export function modelPrefix(
  { endpoint, model, revision = '', dimensions, prefix = '' }: EmbeddingModel,
  type: VectorType,
): string {
  const identity = JSON.stringify([endpoint, model, revision, dimensions, prefix]);
  return `yuxi:emb:${LAYOUT}:${digest(identity)}:${type}:`;
}

/** Texts that differ only in Unicode composition have one key. */
export function textKey(prefix: string, text: string): string {
  return prefix + digest(text.normalize('NFC'));
}

const DEFAULT_BATCH = 64;

/**
 * Computes the vectors of texts, in batches.
 * @param texts by key
 * @throws {EmbeddingAnswerError} an invalid answer; errors of the provider
 */
export async function compute(
  model: EmbeddingModel,
  texts: ReadonlyMap<string, string>,
): Promise<Map<string, CachedVector>> {
  const all = [...texts];
  const size = model.batchSize ?? DEFAULT_BATCH;
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

/** @throws {EmbeddingAnswerError} not a vector of finite numbers with the model's dimensions */
export function assertVector(
  { model, dimensions }: Pick<EmbeddingModel, 'model' | 'dimensions'>,
  vector: Float32Array,
): void {
  if (vector.length !== dimensions)
    throw new EmbeddingAnswerError(model, `a vector of ${vector.length} dimensions instead of ${dimensions}`);
  // The sum is finite only when every number is.
  const sum = vector.reduce((total, value) => total + value * value, 0);
  if (!Number.isFinite(sum)) throw new EmbeddingAnswerError(model, 'a vector with numbers that are not finite');
}
