import { toMs } from '@yuxi/core';
import { z } from 'zod';

/** Control characters except tab and line ends. PostgreSQL cannot store NUL; the others can forge log lines. */
// oxlint-disable-next-line no-control-regex -- matching control characters is its purpose
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** One line of text: a name, a title. Surrounding space is removed before the length is checked. */
export function line(max: number) {
  return z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine((value) => !CONTROL.test(value) && !/[\t\r\n\u2028\u2029]/.test(value), 'must be one line of plain text');
}

/** An integer in a query string. A repeated parameter is an array, and is refused. */
export function queryInt(min: number, max: number) {
  return z
    .string({ error: 'must be given once, as a whole number' })
    .regex(/^-?\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}

/** A duration in a query string, `5s` or `500ms`. @param max milliseconds */
export function queryDuration(max: number) {
  return z.string({ error: 'must be given once, as a duration like 5s' }).transform((value, context) => {
    try {
      return toMs('duration', value, { min: 0, max });
    } catch {
      context.addIssue({ code: 'custom', message: `must be a duration like 5s, at most ${max / 1000}s` });
      return z.NEVER;
    }
  });
}

/** `true` or `false` in a query string. */
export const queryFlag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');

/** Calendar date in a query string, `YYYY-MM-DD`. A day that does not exist is refused. */
export const queryDate = z.iso.date('must be a date like 2026-01-31');

/** Instant, ISO 8601 with `Z` or an offset. */
export const queryInstant = z.iso
  .datetime({ offset: true, error: 'must be an instant like 2026-01-31T12:00:00Z' })
  .transform((value) => new Date(value));

export const futureInstant = queryInstant.refine((instant) => instant.getTime() > Date.now(), 'must be in the future');

/** `?page=1&limit=20`. Pages count from 1 and have at most 100 items. */
export const pageQuery = z.strictObject({
  page: queryInt(1, 1_000_000).default(1),
  limit: queryInt(1, 100).default(20),
});

/** Database id in a path. */
export const idParam = queryInt(1, 2 ** 31 - 1);
