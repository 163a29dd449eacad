import { describe, expect, it } from '@jest/globals';
import { isStatementRefused } from './sql-errors.js';

const failure = (code: string) => Object.assign(new Error('failed'), { code });

describe('a failed statement', () => {
  it.each(['22P02', '23505', '42P01', 'XX000'])('is refused for good with %s', (code) => {
    expect(isStatementRefused(failure(code))).toBe(true);
    expect(isStatementRefused(new Error('wrapped', { cause: failure(code) }))).toBe(true);
  });

  it.each(['08006', '40P01', '53100', '55P03', '57P01', '58030', 'EPIPE', 'ECONNRESET'])(
    'may succeed later with %s',
    (code) => expect(isStatementRefused(failure(code))).toBe(false),
  );

  it('may succeed later without a code', () => {
    expect(isStatementRefused(new Error('timeout'))).toBe(false);
  });
});
