import { type EmbeddingOptions, modelSection, type ModelSettings } from '@yuxi/embedding';
import { z } from 'zod';

/**
 * Settings that may change while the system runs, by section, but for that of the model. Each has an effect, here or in the clients, a
 * type and bounds; commands and secrets are not settings, and the address of a model is one only where the environment allows it.
 */
export const SETTINGS = {
  general: z.strictObject({
    log_level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
      .nullable()
      .default(null)
      .describe('Unset: LOG_LEVEL of the environment'),
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
        'Requests that one user may make, or one client address without a user; 0: any number; unset: YUXI_REQUESTS_PER_MINUTE',
      ),
    login_attempts: z.int().min(3).max(1000).default(10).describe('Logins that one client address may try in a window'),
    login_window_seconds: z.int().min(10).max(3600).default(60).describe('Length of that window'),
    refreshes_per_minute: z
      .int()
      .min(10)
      .max(10_000)
      .default(120)
      .describe('Times that one client address may refresh tokens'),
  }),
  agent: z.strictObject({
    default_agent_id: z
      .string()
      .trim()
      .min(1)
      .max(100)
      .nullable()
      .default(null)
      .describe('Agent that clients offer first; they act on it, not the server'),
  }),
  search: z.strictObject({
    final_top_k: z.int().min(1).max(100).default(10).describe('Results of a search that does not say how many'),
  }),
  documents: z.strictObject({
    max_document_chunks: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(50_000)
      .describe('Chunks that one document may have; what has more fails when it is indexed'),
    max_document_terms: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .default(8_000_000)
      .describe(
        'Different terms that one document may have, summed over its chunks; what has more fails when it is indexed',
      ),
  }),
  tasks: z.strictObject({
    worker_concurrency: z
      .int()
      .min(1)
      .max(64)
      .nullable()
      .default(null)
      .describe('Tasks that each process runs at once; unset: YUXI_WORKER_CONCURRENCY of the environment'),
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
      .describe('By queue: tasks at once, and tasks begun in so many seconds, over all processes'),
  }),
};

export type Settings = { [Section in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[Section]> } & {
  model: ModelSettings;
};

/** All sections. Where models and their keys may be is no setting: an administrator must not open a door that the operator keeps shut. */
export function sectionsFor({ hosts, keys }: Pick<EmbeddingOptions, 'hosts' | 'keys'> = {}) {
  return { ...SETTINGS, model: modelSection(hosts, keys) };
}
