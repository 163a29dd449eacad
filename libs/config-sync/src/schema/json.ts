import { createHash } from 'node:crypto';
import { describe, storableText } from '@yuxi/core';
import { ConfigValidationError } from '../config-sync.errors.js';
import type { Values } from './config-schema.js';

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

const REFUSED_KEYS = new Set(['__proto__', 'constructor', 'prototype']);
const MAX_DEPTH = 16;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A copy of plain JSON that PostgreSQL's `jsonb` stores unchanged.
 * @throws {ConfigValidationError} for a value that JSON would change silently (NaN becomes null, which means "remove"). It has the code
 * `CONFIG_KEY_REFUSED` for a key that could reach a prototype.
 */
export function toJson(value: unknown, path = '', depth = 0): Json {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value + 0; // JSON has no -0
  if (typeof value === 'string' && isStorable(value)) return value;
  if (typeof value !== 'object' || depth >= MAX_DEPTH || !isPlain(value))
    throw new ConfigValidationError([{ path, rule: 'must be a JSON value', got: describe(value) }]);
  if (Array.isArray(value)) return value.map((item, index) => toJson(item, `${path}[${index}]`, depth + 1));
  const copy: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    const at = path ? `${path}.${key}` : key;
    if (key.split('.').some((part) => REFUSED_KEYS.has(part)))
      throw new ConfigValidationError(
        [{ path: at, rule: 'must be a known key', got: describe(key) }],
        'CONFIG_KEY_REFUSED',
      );
    if (!isStorable(key))
      throw new ConfigValidationError([{ path: at, rule: 'must be a known key', got: describe(key) }]);
    if (item !== undefined) copy[key] = toJson(item, at, depth + 1);
  }
  return copy;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}

function isStorable(text: string): boolean {
  return storableText(text) === text;
}

/** JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** The same text for equal values, in any order of their keys. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    isObject(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item,
  );
}

export function hashOf(value: Json): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

/** A setting whose value differs between two revisions. */
export interface ConfigDifference {
  /** Section and key, for example `general.chunk_size`. */
  path: string;
  from: unknown;
  to: unknown;
}

/** The differences between two sets of values, in the order of the sections and keys. */
export function differences(before: Values, after: Values): ConfigDifference[] {
  return Object.entries(after).flatMap(([section, values]) =>
    Object.entries(values)
      .map(([key, to]) => ({ path: `${section}.${key}`, from: before[section]?.[key], to }))
      .filter(({ from, to }) => canonical(from) !== canonical(to)),
  );
}
