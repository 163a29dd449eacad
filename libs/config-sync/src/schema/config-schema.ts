import { createHash } from 'node:crypto';
import { describe, OptionsError } from '@yuxi/core';
import { z } from 'zod';
import { ConfigValidationError } from '../config-sync.errors.js';
import type { ConfigIssue } from '../config-sync.errors.js';
import type { ConfigSections } from '../config-sync.options.js';
import { SecretSettings } from '../secrets/secret-settings.js';
import { toIssues } from './issues.js';
import { deepFreeze, isObject, mergePatch, toJson } from './json.js';
import type { Json, JsonObject } from './json.js';

export type Values = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * What the settings are and which values they may have.
 * Stored is only what was set, so that a new default reaches everybody who did not choose otherwise, and what a newer
 * build stored survives a write by an older one.
 */
export class ConfigSchema {
  private readonly sections: [name: string, schema: z.ZodObject][];

  readonly secrets: SecretSettings;
  /** Changes with what the sections allow: first digits of the hash of their JSON Schema. */
  readonly version: string;

  /** @throws {OptionsError} for a section that is not complete by its defaults. */
  constructor(sections: ConfigSections) {
    // Reading must not fail on a key that only a newer build knows; writing checks for unknown keys itself.
    this.sections = Object.entries(sections).map(([name, schema]) => [name, schema.strip()]);
    for (const [name, schema] of this.sections) {
      const { error } = schema.safeParse({});
      if (error)
        throw new OptionsError(
          `sections.${name}`,
          `complete by defaults (${toIssues(name, {}, error.issues)[0]!.path} is not)`,
          {},
          'ConfigSyncModule',
        );
    }
    this.secrets = new SecretSettings(this.sections);
    this.version = versionOf(this.sections);
  }

  get keys(): Record<string, string[]> {
    return Object.fromEntries(this.sections.map(([name, { shape }]) => [name, Object.keys(shape)]));
  }

  get names(): string[] {
    return this.sections.map(([name]) => name);
  }

  /** @throws {ConfigValidationError} for what is no merge patch over known sections. */
  readPatch(patch: unknown): JsonObject {
    const copy = toJson(patch);
    if (!isObject(copy))
      throw new ConfigValidationError([{ path: '', rule: 'must be an object of sections', got: describe(patch) }]);
    const errors: ConfigIssue[] = [];
    for (const [name, change] of Object.entries(copy)) {
      if (!this.names.includes(name))
        errors.push({ path: name, rule: `must be one of ${this.names.join(', ')}`, got: describe(name) });
      else if (change !== null && !isObject(change))
        errors.push({ path: name, rule: 'must be an object', got: describe(change) });
    }
    if (errors.length > 0) throw new ConfigValidationError(errors);
    return this.secrets.unmask(copy);
  }

  /**
   * The stored values with the patch in them.
   * @throws {ConfigValidationError} naming every key that is unknown, or whose value would not be valid.
   */
  merge(stored: JsonObject, patch: JsonObject): JsonObject {
    const merged = mergePatch(stored, patch) as JsonObject;
    for (const [name, section] of Object.entries(merged))
      if (isObject(section) && Object.keys(section).length === 0) delete merged[name];
    const { values, errors } = this.parse(merged);
    for (const [name, schema] of this.sections) {
      const change = patch[name];
      if (!isObject(change)) continue;
      const parsed = values[name] as Json | undefined;
      errors.push(...unknownKeys(change, parsed, name, (key) => Object.hasOwn(schema.shape, key)));
    }
    if (errors.length > 0) throw new ConfigValidationError(errors);
    return merged;
  }

  /**
   * The values in force: what is stored, over the defaults; frozen.
   * @throws {ConfigValidationError} when what is stored is not valid for this build.
   */
  resolve(stored: JsonObject): Values {
    const { values, errors } = this.parse(stored);
    if (errors.length > 0) throw new ConfigValidationError(errors);
    return deepFreeze(values);
  }

  /** As {@link resolve}, with the default in place of each key that is not valid; for a start that has nothing better. */
  resolveValidPart(stored: JsonObject): Values {
    const values: Record<string, Record<string, unknown>> = {};
    for (const [name, schema] of this.sections) {
      const section: Record<string, unknown> = isObject(stored[name]) ? { ...stored[name] } : {};
      let result = schema.safeParse(section);
      for (const { path } of result.error?.issues ?? []) delete section[String(path[0])];
      result = schema.safeParse(section);
      values[name] = result.success ? result.data : schema.parse({});
    }
    return deepFreeze(values);
  }

  private parse(stored: JsonObject): { values: Record<string, Record<string, unknown>>; errors: ConfigIssue[] } {
    const values: Record<string, Record<string, unknown>> = {};
    const errors: ConfigIssue[] = [];
    for (const [name, schema] of this.sections) {
      const result = schema.safeParse(stored[name] ?? {});
      if (result.success) values[name] = result.data;
      else errors.push(...this.secrets.hideIn(toIssues(name, stored[name], result.error.issues)));
    }
    return { values, errors };
  }
}

function versionOf(sections: readonly [string, z.ZodObject][]): string {
  const schemas = sections.map(([name, schema]) => [
    name,
    z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  ]);
  return createHash('sha256').update(JSON.stringify(schemas)).digest('hex').slice(0, 12);
}

/** Keys of the patch that the parsed values lost: the schema does not know them. */
function unknownKeys(
  patch: JsonObject,
  parsed: Json | undefined,
  path: string,
  isKnown: (key: string) => boolean,
): ConfigIssue[] {
  return Object.entries(patch).flatMap(([key, change]) => {
    const at = `${path}.${key}`;
    if (!isKnown(key)) return [{ path: at, rule: 'must be a known key', got: describe(key) }];
    const below = isObject(parsed) ? parsed[key] : undefined;
    if (!isObject(change) || !isObject(below)) return [];
    return unknownKeys(change, below, at, (inner) => Object.hasOwn(below, inner) || change[inner] === null);
  });
}
