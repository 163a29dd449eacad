import { z } from 'zod';

import { chunkParamsSchema } from '../files/processing-params.js';

/** Name of the task that brings one file to its goal. */
export const PROCESS_FILE = 'knowledge.process_file';

export const processFileSchema = z.strictObject({
  dbId: z.string().regex(/^\w{1,64}$/),
  fileId: z.string().regex(/^\w{1,64}$/),
  goal: z.enum(['parsed', 'indexed']),
  /** Chunk parameters of the request. */
  params: chunkParamsSchema,
  /** Index even where nothing has changed. */
  force: z.boolean(),
});
export type ProcessFile = z.infer<typeof processFileSchema>;
