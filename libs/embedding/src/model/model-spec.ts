import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Largest number of dimensions: more than this, pgvector has no index for. */
export const MAX_DIMENSIONS = 4000;

const dimensions = z.int().min(8).max(MAX_DIMENSIONS);

/** Terms and their parts, hashed: made in the process, finds words and spellings, knows nothing of meaning. */
const hashedSpecSchema = z.object({
  provider: z.literal('hashed'),
  model: z.string(),
  revision: z.string(),
  dimensions,
});

/** A server that speaks `POST /embeddings` as OpenAI does. */
const openAiSpecSchema = z.object({
  provider: z.literal('openai'),
  baseUrl: z.string(),
  model: z.string(),
  /** Raised by the operator when the provider changes what is behind the name. */
  revision: z.string().optional(),
  dimensions,
  /** Ask for vectors of this length: of models that can shorten theirs. */
  shorten: z.boolean(),
  /** Where the key is, never the key: `env:YUXI_MODEL_KEY_X` or `file:/run/secrets/models/x`. */
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
export type HashedSpec = z.infer<typeof hashedSpecSchema>;
export type OpenAiSpec = z.infer<typeof openAiSpecSchema>;

/** SHA-256 (hex) of what decides the vectors. Equal: one may be used in place of the other, and keys, batches and patience may differ. */
export function modelFingerprint(spec: ModelSpec): string {
  const { provider, model, revision = '', dimensions: length } = spec;
  const there = spec.provider === 'openai' ? [spec.baseUrl, spec.shorten, spec.queryPrefix, spec.documentPrefix] : [];
  return createHash('sha256')
    .update(JSON.stringify([provider, model, revision, length, ...there]))
    .digest('hex');
}

/** Whether a model finds words only, so that it must not take the place of a keyword search. */
export function isLexical({ provider }: Pick<ModelSpec, 'provider'>): boolean {
  return provider === 'hashed';
}
