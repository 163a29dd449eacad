import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { jwtSecretProblem } from './jwt-secret.js';

describe('jwtSecretProblem', () => {
  it('takes a random secret everywhere, and none outside production', () => {
    for (const encoding of ['hex', 'base64', 'base64url'] as const)
      expect(jwtSecretProblem(randomBytes(48).toString(encoding), true)).toBeUndefined();
    expect(jwtSecretProblem(undefined, false)).toBeUndefined();
    expect(jwtSecretProblem('', false)).toBeUndefined();
  });

  it.each([
    ['missing', undefined, /must be set in production/],
    ['empty', '', /must be set in production/],
    ['short', 'x9-Kq2_zT4', /at least 32 bytes/],
    [
      'one byte short',
      randomBytes(31)
        .toString('latin1')
        .replace(/[^\x21-\x7e]/g, 'q'),
      /at least 32 bytes/,
    ],
    ['the default of the founding system', 'yuxi_know_secure_key_0123456789abcdef', /well-known/],
    ['the same in capitals', 'YUXI_KNOW_SECURE_KEY_0123456789ABCDEF', /well-known/],
    ['of a template', 'please-change-me-before-you-deploy-this', /well-known/],
    ['of another template', 'CHANGEME-CHANGEME-CHANGEME-CHANGEME1', /well-known/],
    ['one letter', 'a'.repeat(64), /repeating/],
    ['a repeated word', 'password'.repeat(8), /repeating/],
  ])('refuses one that is %s', (_what, secret, message) => {
    const problem = jwtSecretProblem(secret, true);
    expect(problem).toMatch(message);
    expect(problem).toMatch(/^JWT_SECRET .*randomBytes/);
    if (secret) expect(problem).not.toContain(secret);
  });

  it('judges a given secret outside production, too', () => {
    expect(jwtSecretProblem('secret', false)).toMatch(/at least 32 bytes/);
  });
});
