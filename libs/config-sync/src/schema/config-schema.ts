import { createHash } from 'node:crypto';
import { describe, OptionsError } from '@yuxi/core';
import { z } from 'zod';
import { type ConfigIssue, ConfigValidationError } from '../config-sync.errors.js';
import type { ConfigSections } from '../config-sync.options.js';
import { SecretSettings } from '../secrets.js';
import { deepFreeze, isObject, type Json, type JsonObject, mergePatch, toJson } from './json.js';

type ZodIssue = z.core.$ZodIssue;

export type Values = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * The settings and the values they may have.
 * Only values that were set are stored. So a new default applies wherever nothing else was set, and a write by an older build keeps the
 * keys of a newer one.
 */
export class ConfigSchema {
  readonly #sections: [name: string, schema: z.ZodObject][];

  readonly secrets: SecretSettings;
  /** First digits of the hash of the JSON Schema of the sections. */
  readonly version: string;

  /** @throws {OptionsError} for a section with a key that has no default */
  constructor(sections: ConfigSections) {
    // Reading must accept the keys of a newer build. Writing checks for unknown keys itself.
    this.#sections = Object.entries(sections).map(([name, schema]) => [name, schema.strip()]);
    for (const [name, schema] of this.#sections) {
      const { error } = schema.safeParse({});
      if (error)
        throw new OptionsError(
          `sections.${name}`,
          `complete by defaults (${toIssues(name, {}, error.issues)[0]!.path} is not)`,
          {},
          'ConfigSyncModule',
        );
    }
    this.secrets = new SecretSettings(this.#sections);
    this.version = versionOf(this.#sections);
  }

  get keys(): Record<string, string[]> {
    return Object.fromEntries(this.#sections.map(([name, { shape }]) => [name, Object.keys(shape)]));
  }

  get names(): string[] {
    return this.#sections.map(([name]) => name);
  }

  /** @throws {ConfigValidationError} for anything but a merge patch over known sections */
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
   * The stored values with the patch applied.
   * @throws {ConfigValidationError} naming every key that is unknown or would have an invalid value
   */
  merge(stored: JsonObject, patch: JsonObject): JsonObject {
    const merged = mergePatch(stored, patch) as JsonObject;
    for (const [name, section] of Object.entries(merged))
      if (isObject(section) && Object.keys(section).length === 0) delete merged[name];
    const { values, errors } = this.#parse(merged);
    for (const [name, schema] of this.#sections) {
      const change = patch[name];
      if (!isObject(change)) continue;
      const parsed = values[name] as Json | undefined;
      errors.push(...unknownKeys(change, parsed, name, (key) => Object.hasOwn(schema.shape, key)));
    }
    if (errors.length > 0) throw new ConfigValidationError(errors);
    return merged;
  }

  /**
   * The values in force: the stored values over the defaults, frozen.
   * @throws {ConfigValidationError} when a stored value is not valid for this build
   */
  resolve(stored: JsonObject): Values {
    const { values, errors } = this.#parse(stored);
    if (errors.length > 0) throw new ConfigValidationError(errors);
    return deepFreeze(values);
  }

  /** Like {@link resolve}, but an invalid key takes its default. For a start that has no other configuration. */
  resolveValidPart(stored: JsonObject): Values {
    const values: Record<string, Record<string, unknown>> = {};
    for (const [name, schema] of this.#sections) {
      const section: Record<string, unknown> = isObject(stored[name]) ? { ...stored[name] } : {};
      let result = schema.safeParse(section);
      for (const { path } of result.error?.issues ?? []) delete section[String(path[0])];
      result = schema.safeParse(section);
      values[name] = result.success ? result.data : schema.parse({});
    }
    return deepFreeze(values);
  }

  #parse(stored: JsonObject): { values: Record<string, Record<string, unknown>>; errors: ConfigIssue[] } {
    const values: Record<string, Record<string, unknown>> = {};
    const errors: ConfigIssue[] = [];
    for (const [name, schema] of this.#sections) {
      const result = schema.safeParse(stored[name] ?? {});
      if (result.success) values[name] = result.data;
      else errors.push(...this.secrets.hideIn(toIssues(name, stored[name], result.error.issues)));
    }
    return { values, errors };
  }
}

/** Changes with the values that are accepted, not with the wording of descriptions. */
function versionOf(sections: readonly [string, z.ZodObject][]): string {
  const schemas = sections.map(([name, schema]) => [
    name,
    z.toJSONSchema(schema, {
      io: 'input',
      unrepresentable: 'any',
      override: ({ jsonSchema }) => delete jsonSchema.description,
    }),
  ]);
  return createHash('sha256').update(JSON.stringify(schemas)).digest('hex').slice(0, 12);
}

/** Keys of the patch that are missing in the parsed values, because the schema does not have them. */
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

/** The problems that zod found in one section, as path, rule and value. */
function toIssues(section: string, value: unknown, issues: readonly ZodIssue[]): ConfigIssue[] {
  return issues.flatMap((issue) => {
    const at = (key?: PropertyKey) =>
      [section, ...issue.path, ...(key === undefined ? [] : [key])].map(String).join('.');
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ path: at(key), rule: 'must be a known key', got: describe(key) }));
    return [{ path: at(), rule: `must be ${ruleOf(issue)}`, got: describe(valueAt(value, issue.path)) }];
  });
}

function ruleOf(issue: ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `of type ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.map((value) => describe(value)).join(', ')}`;
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return `a valid ${issue.format}`;
    default:
      return `valid: ${issue.message}`;
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' || origin === 'set' ? ' items' : '';
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );
}
