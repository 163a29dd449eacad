import type { Values } from './config-schema.js';
import { canonical } from './json.js';

/** One setting that two revisions have different. */
export interface ConfigDifference {
  /** Section and key, e.g. `general.chunk_size`. */
  path: string;
  from: unknown;
  to: unknown;
}

/** What differs between two sets of values, in the order of the sections and keys. */
export function differences(before: Values, after: Values): ConfigDifference[] {
  return Object.entries(after).flatMap(([section, values]) =>
    Object.entries(values)
      .map(([key, to]) => ({ path: `${section}.${key}`, from: before[section]?.[key], to }))
      .filter(({ from, to }) => canonical(from) !== canonical(to)),
  );
}
