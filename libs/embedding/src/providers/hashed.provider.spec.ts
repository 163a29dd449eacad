import { describe, expect, it } from '@jest/globals';
import { hashedVector } from './hashed.provider.js';

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const near = (a: string, b: string, dimensions = 384) => dot(hashedVector(a, dimensions), hashedVector(b, dimensions));

describe('the offline model', () => {
  it('makes vectors of length 1', () => {
    for (const text of ['wing', 'The wing bends in the flow.', '首都是北京', 'x'.repeat(10_000)])
      expect(near(text, text)).toBeCloseTo(1, 5);
  });

  it('makes the zero vector for a text without words', () => {
    expect(hashedVector(' … !? ', 16)).toEqual(new Float32Array(16));
  });

  it('makes the same vector for texts that differ in case, spaces or Unicode form', () => {
    expect(near('WING flow', 'wing   flow')).toBeCloseTo(1, 5);
    expect(near('cafe\u0301', 'caf\u00e9')).toBeCloseTo(1, 5);
  });

  it('finds spellings, not meanings', () => {
    expect(near('supersonic flow', 'supersonics of flows')).toBeGreaterThan(0.3);
    expect(Math.abs(near('automobile', 'car'))).toBeLessThan(0.25);
    expect(near('北京是首都', '首都在北京')).toBeGreaterThan(0.5);
  });
});
