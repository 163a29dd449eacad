import { describe, expect, it } from '@jest/globals';
import { seededRandom } from '@yuxi/testing';
import { decode, encode, VECTOR_TYPES } from './codec.js';
import { fromHalves, toHalves } from './float16.js';

const half = (value: number) => fromHalves(toHalves(Float32Array.of(value)))[0]!;

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe('half precision', () => {
  it.each([
    [0, 0],
    [-0, -0],
    [1, 1],
    [-2.5, -2.5],
    [65_504, 65_504],
    [65_520, Number.POSITIVE_INFINITY],
    [1e9, Number.POSITIVE_INFINITY],
    [-1e9, Number.NEGATIVE_INFINITY],
    [2 ** -14, 2 ** -14],
    [2 ** -24, 2 ** -24],
    [2 ** -25, 0],
    [2 ** -25 * 1.01, 2 ** -24],
    [2 ** -30, 0],
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ])('rounds %d to %d', (value, expected) => {
    expect(half(value)).toBe(expected);
  });

  it('keeps NaN and every finite half', () => {
    expect(half(Number.NaN)).toBeNaN();
    const all = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((i) => ((i >> 10) & 31) !== 31);
    expect(toHalves(fromHalves(all))).toEqual(all);
  });
});

describe('encoded vectors', () => {
  const random = seededRandom(7);
  const vector = Float32Array.from({ length: 1024 }, () => random() * 2 - 1);

  it.each(VECTOR_TYPES)('of type %s are decoded with their tokens and nearly the same direction', (type) => {
    const bytes = encode({ vector, tokens: 12 }, type);
    const back = decode(bytes, type, 1024)!;
    expect(back.tokens).toBe(12);
    expect(cosine(back.vector, vector)).toBeGreaterThanOrEqual(0.9999);
    expect(bytes.length).toBe({ float32: 4104, float16: 2056, int8: 1036 }[type]);
  });

  it('count as missing when they have another type, length or layout', () => {
    const bytes = encode({ vector, tokens: 1 }, 'float16');
    const other = Buffer.from(bytes);
    other[0] = 9;
    expect(decode(bytes, 'float32', 1024)).toBeUndefined();
    expect(decode(bytes, 'float16', 512)).toBeUndefined();
    expect(decode(bytes.subarray(0, 100), 'float16', 1024)).toBeUndefined();
    expect(decode(other, 'float16', 1024)).toBeUndefined();
    expect(decode(Buffer.alloc(0), 'float16', 1024)).toBeUndefined();
  });

  it('that have only zeros stay zero', () => {
    const zeros = { vector: new Float32Array(4), tokens: 0 };
    for (const type of VECTOR_TYPES) expect(decode(encode(zeros, type), type, 4)).toEqual(zeros);
  });
});
