import { z } from 'zod';

/** Who besides the owner sees a database. A type, not an interface, so that it passes as input of its own schema. */
export type ShareConfig = {
  visibility: 'private' | 'departments' | 'public';
  /** Ids of departments; read when `visibility` is `departments`. */
  departments: number[];
};

/** The same in both spellings, as answers carry it. */
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
 * Reads `{visibility, departments}` or `{is_shared, accessible_departments}`. In the second form listed departments
 * always narrow: only `is_shared` without a list means everybody.
 */
export const shareConfigSchema = z
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

/** Answers carry both spellings; a client that sends an answer back means the first one. */
function withoutEcho(given: Record<string, unknown>): Record<string, unknown> {
  if (!('visibility' in given)) return given;
  const { is_shared: _shared, accessible_departments: _list, ...rest } = given;
  return rest;
}

function visibilityOf(isShared: boolean, departments: number[]): ShareConfig['visibility'] {
  if (departments.length > 0) return 'departments';
  return isShared ? 'public' : 'private';
}
