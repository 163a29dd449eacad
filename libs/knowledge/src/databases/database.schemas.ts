import { z } from 'zod';

import { jsonObject, text } from '../common/input.js';
import { DEFAULT_KIND } from './kinds.js';

/** Which users besides the owner may read a database. A type, because an interface does not match the input of the schema. */
export type ShareConfig = {
  visibility: 'private' | 'departments' | 'public';
  /** Ids of departments; used when `visibility` is `departments`. */
  departments: number[];
};

/** In the spelling of this API and in that of the legacy API, as answers contain it. */
export interface ShareConfigView extends ShareConfig {
  is_shared: boolean;
  accessible_departments: number[];
}

const departmentIds = z.array(z.int().positive().max(2_147_483_647)).max(1000);

const plain = z.strictObject({
  visibility: z.enum(['private', 'departments', 'public']),
  departments: departmentIds.default([]),
});
const compatible = z.strictObject({
  is_shared: z.boolean(),
  accessible_departments: departmentIds.default([]),
});

/**
 * Accepts `{visibility, departments}`, or `{is_shared, accessible_departments}` of the legacy API. There a list of departments has
 * precedence: only `is_shared` without a list means public.
 */
const shareConfigSchema = z
  .record(z.string(), z.unknown())
  .transform(withoutEcho)
  .pipe(z.union([plain, compatible]))
  .transform((given): ShareConfig => {
    const departments = 'visibility' in given ? given.departments : given.accessible_departments;
    const visibility = 'visibility' in given ? given.visibility : visibilityOf(given.is_shared, departments);
    return { visibility, departments: visibility === 'departments' ? [...new Set(departments)] : [] };
  });

export function viewShareConfig({ visibility, departments }: ShareConfig): ShareConfigView {
  return { visibility, departments, is_shared: visibility === 'public', accessible_departments: departments };
}

/** Answers contain both spellings. When a client sends an answer back, the first one counts. */
function withoutEcho(given: Record<string, unknown>): Record<string, unknown> {
  if (!('visibility' in given)) return given;
  const { is_shared: _shared, accessible_departments: _list, ...rest } = given;
  return rest;
}

function visibilityOf(isShared: boolean, departments: number[]): ShareConfig['visibility'] {
  if (departments.length > 0) return 'departments';
  return isShared ? 'public' : 'private';
}

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

/** Body of a change. Absent values stay; `additional_params` are merged key by key. */
export const updateDatabaseSchema = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  llm_info: llmInfo.optional(),
  additional_params: additionalParams.optional(),
  share_config: shareConfigSchema.optional(),
});

export type CreateDatabase = z.input<typeof createDatabaseSchema>;
export type UpdateDatabase = z.input<typeof updateDatabaseSchema>;
