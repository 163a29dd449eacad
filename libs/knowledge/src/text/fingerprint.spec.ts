import { describe, expect, it } from '@jest/globals';
import { fingerprint } from './fingerprint.js';

describe('fingerprint', () => {
  const base = { contentHash: 'c', params: { size: 512, nested: { a: 1, b: [1, 2] } }, analyzerVersion: '1' };

  it('does not depend on the order of keys, nor on absent values', () => {
    const params = { nested: { b: [1, 2], a: 1 }, size: 512, overlap: undefined };
    expect(fingerprint({ analyzerVersion: '1', params, contentHash: 'c' })).toBe(fingerprint(base));
    expect(fingerprint(base)).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    { ...base, contentHash: 'd' },
    { ...base, analyzerVersion: '2' },
    { ...base, params: { size: 513, nested: base.params.nested } },
    { ...base, params: { size: 512, nested: { a: 1, b: [2, 1] } } },
  ])('changes with each part of the input: %j', (changed) => {
    expect(fingerprint(changed)).not.toBe(fingerprint(base));
  });
});
