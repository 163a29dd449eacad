import { z } from 'zod';

import { jsonObject, text } from '../common/validate.js';
import { DEFAULT_KIND } from './kinds.js';
import { shareConfigSchema } from './share-config.js';

const name = z.string().trim().pipe(text(100, 1));
const description = text(4000);
const additionalParams = jsonObject(64 * 1024);
const llmInfo = jsonObject(16 * 1024).nullable();

/** Body of a creation. */
export const createDatabaseSchema = z.strictObject({
  database_name: name,
  description: description.default(''),
  embed_model_name: text(200).nullish(),
  kb_type: text(50).default(DEFAULT_KIND),
  additional_params: additionalParams.default({}),
  llm_info: llmInfo.optional(),
  share_config: shareConfigSchema.optional(),
});

/** Body of a change: what is absent stays; `additional_params` are merged key by key. */
export const updateDatabaseSchema = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  llm_info: llmInfo.optional(),
  additional_params: additionalParams.optional(),
  share_config: shareConfigSchema.optional(),
});

export type CreateDatabase = z.input<typeof createDatabaseSchema>;
export type UpdateDatabase = z.input<typeof updateDatabaseSchema>;
