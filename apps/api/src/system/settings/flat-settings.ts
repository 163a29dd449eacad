import { ConfigValidationError, readConfigJson } from '@yuxi/config-sync';

type Sections = Readonly<Record<string, readonly string[]>>;
type Values = Record<string, Record<string, unknown>>;

/** The founding API shows one flat object: keys are unique over the sections. */
export function flatten(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.assign({}, ...Object.values(settings)) as Record<string, unknown>;
}

/**
 * Sorts flat keys into their sections.
 * @throws {ConfigValidationError} naming every key that no section has.
 */
export function toPatch(sections: Sections, flat: unknown): Values {
  const patch: Values = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(readConfigJson(flat) as Record<string, unknown>)) {
    const section = Object.keys(sections).find((name) => sections[name]!.includes(key));
    if (section) (patch[section] ??= {})[key] = value;
    else unknown.push(key);
  }
  if (unknown.length > 0)
    throw new ConfigValidationError(
      unknown.map((path) => ({ path, rule: 'must be a known setting', got: 'unknown key' })),
    );
  return patch;
}
