import { randomBytes } from 'node:crypto';

import { storableText } from '@yuxi/core';
import { z } from 'zod';

import { ValidationError } from '../knowledge.errors.js';

const MAX_DEPTH = 16;

/** Text of at most `max` UTF-16 units that PostgreSQL can store. */
export function text(max: number, min = 0) {
  return z.string().min(min).max(max).refine(isStorableText, 'must not contain NUL or a lone surrogate');
}

/** A JSON object of at most `maxBytes` as text that PostgreSQL can store. */
export function jsonObject(maxBytes: number) {
  return z
    .record(z.string(), z.unknown())
    .refine((value) => isStorable(value, 0), `must contain plain JSON without NUL, at most ${MAX_DEPTH} levels deep`)
    .refine((value) => JSON.stringify(value).length <= maxBytes, `must be at most ${maxBytes} bytes of JSON`);
}

const isStorableText = (value: string): boolean => storableText(value) === value;

function isStorable(value: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  if (typeof value === 'string') return isStorableText(value);
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value === 'boolean') return true;
  if (Array.isArray(value)) return value.every((item) => isStorable(item, depth + 1));
  if (typeof value !== 'object') return false;
  return Object.entries(value).every(([key, item]) => isStorableText(key) && isStorable(item, depth + 1));
}

/**
 * Checks a value that a caller has given.
 * @param where prefix of the name of the field in the error.
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

/** A public id that cannot be guessed. Its prefix names the kind of thing. */
export function newHandle(prefix: 'kb' | 'file' | 'upload'): string {
  return `${prefix}_${randomBytes(16).toString('hex')}`;
}

/** Whether a text has the form of a public id. Other texts need no look-up in the database. */
export function isHandle(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_]{1,64}$/.test(value);
}
