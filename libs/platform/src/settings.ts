import { type EmbeddingOptions, modelSection, type ModelSettings } from '@yuxi/embedding';
import { z } from 'zod';

/**
 * Settings that may change while the system runs, by section. The section of the model comes from {@link sectionsFor}.
 * Each setting has an effect in the server or its clients, a type and bounds. Commands and secrets are not settings.
 */
export const SETTINGS = {
  general: z.strictObject({
    log_level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
      .nullable()
      .default(null)
      .describe('Log level; unset: LOG_LEVEL of the environment'),
    chunk_size: z.int().min(64).max(8192).default(512).describe('Default size of a chunk, in estimated tokens'),
    chunk_overlap: z.int().min(0).max(1024).default(0).describe('Default overlap of chunks, in estimated tokens'),
  }),
  limits: z.strictObject({
    requests_per_minute: z
      .int()
      .min(0)
      .max(1_000_000)
      .nullable()
      .default(null)
      .describe(
        'Requests per minute of one user, or of one client address without a user; 0: no limit; unset: YUXI_REQUESTS_PER_MINUTE',
      ),
    login_attempts: z
      .int()
      .min(3)
      .max(1000)
      .default(10)
      .describe('Login attempts of one client address within a window'),
    login_window_seconds: z.int().min(10).max(3600).default(60).describe('Length of that window'),
    refreshes_per_minute: z
      .int()
      .min(10)
      .max(10_000)
      .default(120)
      .describe('Token refreshes of one client address per minute'),
  }),
  agent: z.strictObject({
    default_agent_id: z
      .string()
      .trim()
      .min(1)
      .max(100)
      .nullable()
      .default(null)
      .describe('Agent that clients offer first; the server does not use it'),
  }),
  search: z.strictObject({
    final_top_k: z.int().min(1).max(100).default(10).describe('Number of results of a search without its own number'),
  }),
  documents: z.strictObject({
    max_document_chunks: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(50_000)
      .describe('Most chunks of one document; indexing of a larger document fails'),
    max_document_terms: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .default(8_000_000)
      .describe('Most different terms of one document, summed over its chunks; indexing of a larger document fails'),
  }),
  tasks: z.strictObject({
    worker_concurrency: z
      .int()
      .min(1)
      .max(64)
      .nullable()
      .default(null)
      .describe('Concurrent tasks of each process; unset: YUXI_WORKER_CONCURRENCY of the environment'),
    queue_limits: z
      .record(
        z.string().min(1).max(100),
        z.strictObject({
          concurrency: z.int().min(1).max(100_000).optional(),
          rate: z
            .strictObject({ tasks: z.int().min(1).max(1_000_000), per_seconds: z.number().min(0.001).max(86_400) })
            .optional(),
        }),
      )
      .default({})
      .describe('By queue, over all processes: concurrent tasks, and tasks started within a number of seconds'),
  }),
};

export type Settings = { [Section in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[Section]> } & {
  model: ModelSettings;
};

/** All sections. The allowed hosts and key places of models come from the environment, so an administrator cannot extend them. */
export function sectionsFor({ hosts, keys }: Pick<EmbeddingOptions, 'hosts' | 'keys'> = {}) {
  return { ...SETTINGS, model: modelSection(hosts, keys) };
}
