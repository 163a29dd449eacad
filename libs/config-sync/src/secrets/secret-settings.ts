import type { z } from 'zod';
import type { Values } from '../schema/config-schema.js';
import type { ConfigIssue } from '../config-sync.errors.js';
import { type ConfigDifference, differences } from '../schema/diff.js';
import { isObject } from '../schema/json.js';
import type { JsonObject } from '../schema/json.js';
import { isSecret, MASK } from './secret-reference.js';

/** Which settings say where a secret is, and how they are shown. */
export class SecretSettings {
  readonly #keys = new Map<string, string[]>();

  constructor(sections: readonly (readonly [name: string, schema: z.ZodObject])[]) {
    for (const [name, { shape }] of sections) {
      const keys = Object.keys(shape).filter((key) => isSecret(shape[key] as z.ZodType));
      if (keys.length > 0) this.#keys.set(name, keys);
    }
  }

  /** The same with `***` in their place. */
  mask<T extends JsonObject | Values>(values: T): T {
    return this.#map(values, (section, keys) => ({ ...section, ...pick(keys, (key) => hide(section[key])) }));
  }

  /** A patch without those given back as they were shown: who sends them does not mean to change them. */
  unmask(patch: JsonObject): JsonObject {
    return this.#map(patch, (section, keys) => {
      const kept = Object.entries(section).filter(([key, value]) => !(keys.includes(key) && value === MASK));
      return Object.fromEntries(kept);
    });
  }

  /** What two sets of values have different; that a secret differs is told, not how. */
  differences(before: Values, after: Values): ConfigDifference[] {
    return differences(before, after).map(({ path, from, to }) =>
      this.#isSecret(path) ? { path, from: hide(from), to: hide(to) } : { path, from, to },
    );
  }

  /** Who gives a secret in place of a reference must not read it in an answer or a log. */
  hideIn(issues: ConfigIssue[]): ConfigIssue[] {
    return issues.map((issue) => (this.#isSecret(issue.path) ? { ...issue, got: MASK } : issue));
  }

  #isSecret(path: string): boolean {
    const [name = '', key = ''] = path.split('.');
    return this.#keys.get(name)?.includes(key) ?? false;
  }

  #map<T extends JsonObject | Values>(
    values: T,
    change: (section: Record<string, unknown>, keys: readonly string[]) => unknown,
  ): T {
    const changed: Record<string, unknown> = { ...values };
    for (const [name, keys] of this.#keys) {
      const section = changed[name];
      if (isObject(section)) changed[name] = change(section, keys);
    }
    return changed as T;
  }
}

/** Null stays null: that nothing is set may be seen. */
function hide(value: unknown): unknown {
  return typeof value === 'string' ? MASK : value;
}

function pick(keys: readonly string[], of: (key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, of(key)] as const).filter(([, value]) => value !== undefined));
}
