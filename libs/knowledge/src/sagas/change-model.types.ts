import { z } from 'zod';

/** Name of the saga that gives a knowledge base vectors of another model. */
export const CHANGE_MODEL = 'knowledge.change_model';

export const changeModelSchema = z.object({ kbId: z.int(), dbId: z.string(), generation: z.int() });
export type ChangeModel = z.infer<typeof changeModelSchema>;
