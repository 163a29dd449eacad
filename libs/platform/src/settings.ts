import { z } from 'zod';

/**
 * Settings that may change while the system runs, by section. Each has an effect somewhere, a type and bounds;
 * addresses, commands and secrets are not settings.
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
  search: z.strictObject({
    final_top_k: z.int().min(1).max(100).default(10).describe('Results of a search that does not say how many'),
  }),
};

export type Settings = { [Section in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[Section]> };
