import { z } from 'zod';

import { chunkParamsSchema } from '../files/processing-params.js';

/** Name of the saga that makes an upload a document. */
export const INGEST = 'knowledge.ingest';

export const ingestSchema = z.object({
  kbId: z.int(),
  dbId: z.string(),
  fileId: z.string(),
  params: chunkParamsSchema,
});
export type Ingest = z.infer<typeof ingestSchema>;
