import { z } from 'zod';

import { ValidationError } from '../knowledge.errors.js';

/** PostgreSQL stores neither NUL nor half a surrogate pair. */
const UNSTORABLE = /\0|\p{Cs}/u;
const MAX_DEPTH = 16;

/** Text that can be stored, at most `max` UTF-16 units. */
export function text(max: number, min = 0) {
  return z
    .string()
    .min(min)
    .max(max)
    .refine((value) => !UNSTORABLE.test(value), 'must not hold NUL or a lone surrogate');
}

/** A JSON object that can be stored, at most `maxBytes` as text. */
export function jsonObject(maxBytes: number) {
  return z
    .record(z.string(), z.unknown())
    .refine((value) => isStorable(value, 0), `must hold plain JSON without NUL, at most ${MAX_DEPTH} levels deep`)
    .refine((value) => JSON.stringify(value).length <= maxBytes, `must be at most ${maxBytes} bytes of JSON`);
}

function isStorable(value: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  if (typeof value === 'string') return !UNSTORABLE.test(value);
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value === 'boolean') return true;
  if (Array.isArray(value)) return value.every((item) => isStorable(item, depth + 1));
  if (typeof value !== 'object') return false;
  return Object.entries(value).every(([key, item]) => !UNSTORABLE.test(key) && isStorable(item, depth + 1));
}

/**
 * Reads what a caller gave.
 * @param where path put before the name of the field in the error.
 * @throws {ValidationError} naming the first field that breaks a rule.
 */
export function parseInput<T extends z.ZodType>(schema: T, value: unknown, where = ''): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const inner = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]!] : issue.path;
  const field = [where, ...inner.map(String)].filter(Boolean).join('.');
  throw new ValidationError(field, issue.code === 'unrecognized_keys' ? 'is not a known field' : issue.message);
}
