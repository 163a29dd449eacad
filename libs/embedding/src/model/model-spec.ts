import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Largest number of dimensions for which pgvector has an index. */
export const MAX_DIMENSIONS = 4000;

const dimensions = z.int().min(8).max(MAX_DIMENSIONS);

/** The offline model: hashed words and their parts, computed in the process. Finds words and spellings, not meanings. */
const hashedSpecSchema = z.object({
  provider: z.literal('hashed'),
  model: z.string(),
  revision: z.string(),
  dimensions,
});

/** A server with the OpenAI API `POST /embeddings`. */
const openAiSpecSchema = z.object({
  provider: z.literal('openai'),
  baseUrl: z.string(),
  model: z.string(),
  /** Changed by the operator when the provider uses another model under the same name. */
  revision: z.string().optional(),
  dimensions,
  /** Request vectors of this length. Only for models that can shorten their vectors. */
  shorten: z.boolean(),
  /** The place of the key, not the key: `env:YUXI_MODEL_KEY_X` or `file:/run/secrets/models/x`. */
  apiKey: z.string().optional(),
  queryPrefix: z.string(),
  documentPrefix: z.string(),
  batchSize: z.int(),
  concurrency: z.int(),
  timeoutMs: z.int(),
  retries: z.int(),
});

export const modelSpecSchema = z.discriminatedUnion('provider', [hashedSpecSchema, openAiSpecSchema]);
export type ModelSpec = z.infer<typeof modelSpecSchema>;
export type OpenAiSpec = z.infer<typeof openAiSpecSchema>;

/**
 * SHA-256 (hex) of everything that changes the vectors. Models with the same fingerprint are interchangeable; key, batch size, timeout and
 * retries may differ.
 */
export function modelFingerprint(spec: ModelSpec): string {
  const { provider, model, revision = '', dimensions: length } = spec;
  const server = spec.provider === 'openai' ? [spec.baseUrl, spec.shorten, spec.queryPrefix, spec.documentPrefix] : [];
  return createHash('sha256')
    .update(JSON.stringify([provider, model, revision, length, ...server]))
    .digest('hex');
}

/** Whether a model finds only words. Such a model must not replace a keyword search. */
export function isLexical({ provider }: Pick<ModelSpec, 'provider'>): boolean {
  return provider === 'hashed';
}
