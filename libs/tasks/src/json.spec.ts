import { describe, expect, it } from '@jest/globals';
import { MAX_JSON, toJson } from './json.js';

const circular: Record<string, unknown> = {};
circular['a'] = { b: [circular] };
class Point {
  x = 1;
}

describe('JSON of a payload', () => {
  it.each<[unknown, string]>([
    [undefined, '$ is undefined'],
    [{ a: undefined }, '$.a is undefined'],
    [{ a: [1, Number.NaN] }, '$.a[1] is NaN'],
    [{ a: Number.POSITIVE_INFINITY }, '$.a is Infinity'],
    [{ a: { b: 10n } }, '$.a.b is 10n'],
    [[() => 1], '$[0] is a function'],
    [{ a: Symbol('x') }, '$.a is Symbol(x)'],
    [new Map([[1, 2]]), '$ is a Map'],
    [{ when: new Date(0) }, '$.when is a Date'],
    [{ p: new Point() }, '$.p is a Point'],
    [{ 'odd key': new Set() }, '$["odd key"] is a Set'],
    [Buffer.from('x'), '$ is a Buffer'],
    // eslint-disable-next-line no-sparse-arrays
    [[1, , 3], '$[1] is undefined'],
    [circular, '$.a.b[0] contains itself'],
    [{ a: 'x\u0000' }, '$.a contains U+0000'],
    [{ 'x\u0000': 1 }, 'has a key that contains U+0000'],
    [{ a: '\ud83d' }, '$.a contains half of a surrogate pair'],
    ['x'.repeat(MAX_JSON), `$ is ${MAX_JSON + 2} bytes`],
  ])('is refused for %p', (value, problem) => {
    expect(() => toJson('t', value)).toThrow(problem);
  });

  it.each<[unknown]>([
    [null],
    [0],
    [''],
    [{ a: [true, null, 'é😀', { b: -1.5e-7 }] }],
    [Object.assign(Object.create(null) as object, { a: 1 })],
    ['x'.repeat(MAX_JSON - 2)],
  ])('is accepted for a value that is equal after a round trip (%#)', (value) => {
    expect(JSON.parse(toJson('t', value))).toEqual(value);
  });

  it('may contain one object in two places', () => {
    const shared = { a: 1 };
    expect(toJson('t', [shared, shared])).toBe('[{"a":1},{"a":1}]');
  });
});
