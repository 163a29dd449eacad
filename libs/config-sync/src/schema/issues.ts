import { describe } from '@yuxi/core';
import type { z } from 'zod';
import type { ConfigIssue } from '../config-sync.errors.js';

type ZodIssue = z.core.$ZodIssue;

/** What zod found wrong in one section, as path, rule and value. */
export function toIssues(section: string, value: unknown, issues: readonly ZodIssue[]): ConfigIssue[] {
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
