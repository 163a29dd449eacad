import { ConfigValidationError } from '@yuxi/config-sync';
import type { z } from 'zod';

type Sections = Record<string, z.ZodObject>;
type Values = Record<string, Record<string, unknown>>;

/** The founding API shows one flat object: keys are unique over the sections. */
export function flatten(settings: Readonly<Record<string, object>>): Record<string, unknown> {
  return Object.assign({}, ...Object.values(settings)) as Record<string, unknown>;
}

/**
 * Sorts flat keys into their sections.
 * @throws {ConfigValidationError} naming every key that no section has.
 */
export function toPatch(sections: Sections, flat: Record<string, unknown>): Values {
  const patch: Values = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(flat)) {
    const section = Object.keys(sections).find((name) => Object.hasOwn(sections[name]!.shape, key));
    if (section) (patch[section] ??= {})[key] = value;
    else unknown.push(key);
  }
  if (unknown.length > 0)
    throw new ConfigValidationError(
      unknown.map((path) => ({ path, rule: 'must be a known setting', got: 'unknown key' })),
    );
  return patch;
}
