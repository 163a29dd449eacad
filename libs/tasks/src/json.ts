import { describe } from '@yuxi/core';
import { PayloadError } from './tasks.errors.js';

/** Largest payload or result as JSON, bytes. */
export const MAX_JSON = 256 * 1024;

const LONE_SURROGATE = /\p{Surrogate}/u;
const PLAIN_KEY = /^[A-Za-z_$][\w$]*$/;

/**
 * JSON text of a value that the database returns unchanged. A value that JSON would drop or change without an error is refused.
 * @throws {PayloadError} with the path of the first offending value
 */
export function toJson(task: string, value: unknown): string {
  check(task, value, '$', []);
  const text = JSON.stringify(value);
  const size = Buffer.byteLength(text);
  if (size > MAX_JSON)
    throw new PayloadError(task, '$', `is ${size} bytes of JSON, more than ${MAX_JSON}: store it and pass a reference`);
  return text;
}

function check(task: string, value: unknown, path: string, parents: readonly object[]): void {
  const problem = problemOf(value, parents);
  if (problem) throw new PayloadError(task, path, problem);
  if (typeof value !== 'object' || value === null) return;
  const inside = [...parents, value];
  if (Array.isArray(value)) {
    // By index, because forEach skips holes.
    for (let i = 0; i < value.length; i++) check(task, value[i], `${path}[${i}]`, inside);
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    const at = PLAIN_KEY.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
    const badKey = textProblem(key);
    if (badKey) throw new PayloadError(task, at, `has a key that ${badKey}`);
    check(task, item, at, inside);
  }
}

function problemOf(value: unknown, parents: readonly object[]): string | undefined {
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'string') return textProblem(value);
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `is ${value}, which JSON cannot hold`;
  if (typeof value !== 'object') return `is ${describe(value)}, which JSON cannot hold`;
  if (parents.includes(value)) return 'contains itself';
  if (parents.length >= 100) return 'is nested more than 100 deep';
  if (Array.isArray(value)) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  // By the shape of the prototype, because an object may come from another realm.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined;
  return `is a ${value.constructor?.name || 'class instance'}, not a plain object: pass its data`;
}

function textProblem(text: string): string | undefined {
  if (text.includes('\u0000')) return 'contains U+0000, which the database cannot hold';
  return LONE_SURROGATE.test(text) ? 'contains half of a surrogate pair' : undefined;
}
