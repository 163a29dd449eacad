import { type SecretPlaces, secretReference } from '@yuxi/config-sync';
import { z } from 'zod';
import { ModelHosts } from '../outbound/model-hosts.js';
import { HASHED_MODEL } from '../providers/hashed.provider.js';
import { MAX_DIMENSIONS, type ModelSpec } from './model-spec.js';

/**
 * Places of model keys. They are separate from all other secrets, because a user who may change settings chooses a key and the host that
 * receives it.
 */
export const MODEL_KEYS = { envPrefix: 'YUXI_MODEL_KEY_', folder: '/run/secrets/models' } satisfies SecretPlaces;

/**
 * The section `model` of the live configuration.
 * @param hosts at which models may be used; other base URLs are refused
 * @param keys places from which keys may be read
 */
export function modelSection(hosts: ModelHosts = ModelHosts.parse(undefined).hosts, keys: SecretPlaces = MODEL_KEYS) {
  const baseUrl = z.string().superRefine((text, context) => {
    const message = hosts.problemOf(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
  return z
    .strictObject({
      embedding_provider: z
        .enum(['hashed', 'openai'])
        .default('hashed')
        .describe('hashed: offline, finds words and spellings; openai: a server with POST /embeddings'),
      embedding_base_url: baseUrl
        .nullable()
        .default(null)
        .describe('Base URL of the server, for example https://api.example.com/v1'),
      embedding_model: z.string().min(1).max(200).nullable().default(null).describe('Name of the model on the server'),
      embedding_revision: z
        .string()
        .max(100)
        .default('')
        .describe('Change this value when the server uses another model under the same name'),
      embedding_dimensions: z
        .int()
        .min(8)
        .max(MAX_DIMENSIONS)
        .default(384)
        .describe('Number of dimensions of a vector'),
      embedding_shorten: z
        .boolean()
        .default(false)
        .describe('Request vectors with this number of dimensions. Only for models that can shorten their vectors'),
      embedding_api_key: secretReference(keys)
        .nullable()
        .default(null)
        .describe('Place of the key of the server: env:YUXI_MODEL_KEY_NAME or file:/run/secrets/models/name'),
      embedding_query_prefix: z.string().max(1000).default('').describe('Text before each question'),
      embedding_document_prefix: z.string().max(1000).default('').describe('Text before each chunk'),
      embedding_batch_size: z.int().min(1).max(2048).default(64).describe('Texts in one call to the server'),
      embedding_concurrency: z
        .int()
        .min(1)
        .max(64)
        .default(4)
        .describe('Calls that each process makes at the same time'),
      embedding_timeout_seconds: z.number().min(0.1).max(600).default(30).describe('Timeout of one call'),
      embedding_retries: z.int().min(0).max(10).default(4).describe('Retries of a call before the task fails'),
    })
    .superRefine((values, context) => {
      if (values.embedding_provider !== 'openai') return;
      for (const key of ['embedding_base_url', 'embedding_model'] as const)
        if (values[key] === null)
          context.addIssue({ code: 'custom', path: [key], message: 'must be set when embedding_provider is openai' });
    });
}

export type ModelSettings = z.output<ReturnType<typeof modelSection>>;

/** The model that settings describe. */
export function specOf(settings: ModelSettings): ModelSpec {
  const length = settings.embedding_dimensions;
  if (settings.embedding_provider === 'hashed') return { provider: 'hashed', ...HASHED_MODEL, dimensions: length };
  return {
    provider: 'openai',
    baseUrl: settings.embedding_base_url!.replace(/\/+$/, ''),
    model: settings.embedding_model!,
    revision: settings.embedding_revision || undefined,
    dimensions: length,
    shorten: settings.embedding_shorten,
    apiKey: settings.embedding_api_key ?? undefined,
    queryPrefix: settings.embedding_query_prefix,
    documentPrefix: settings.embedding_document_prefix,
    batchSize: settings.embedding_batch_size,
    concurrency: settings.embedding_concurrency,
    timeoutMs: Math.round(settings.embedding_timeout_seconds * 1000),
    retries: settings.embedding_retries,
  };
}
