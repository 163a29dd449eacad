import { describe, expect, it } from '@jest/globals';
import { requireBoundary } from './upload.js';

describe('the boundary of a form', () => {
  it.each([
    'multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW',
    'multipart/form-data;boundary="a quoted one"',
    'multipart/form-data; charset=utf-8; BOUNDARY=x',
    'multipart/form-data; x="boundary=y"; boundary=z;',
    `multipart/form-data; boundary=${'b'.repeat(70)}`,
    String.raw`multipart/form-data; boundary="a\b"`,
    "multipart/form-data; boundary='()+_,-./:=?",
  ])('may be %s', (type) => {
    expect(() => requireBoundary(type)).not.toThrow();
  });

  it.each([
    ['multipart/form-data', 'one boundary, not 0'],
    ['multipart/form-data;', 'one boundary, not 0'],
    ['multipart/form-data; x="boundary=y"', 'one boundary, not 0'],
    ['multipart/form-data; boundary=a; boundary=a', 'one boundary, not 2'],
    ['multipart/form-data; boundary=a; Boundary="b"', 'one boundary, not 2'],
    ['multipart/form-data; boundary=', '1 to 70'],
    ['multipart/form-data; boundary=""', '1 to 70'],
    [`multipart/form-data; boundary=${'b'.repeat(71)}`, '1 to 70'],
    [`multipart/form-data; boundary=${'b'.repeat(5000)}`, '1 to 70'],
    ['multipart/form-data; boundary="ends with a blank "', '1 to 70'],
    ['multipart/form-data; boundary="a@b"', '1 to 70'],
    ['multipart/form-data; boundary="a\tb"', '1 to 70'],
    ['multipart/form-data; boundary="open', 'malformed'],
    ['multipart/form-data; boundary', 'malformed'],
    ['multipart/form-data; boundary=a b', 'malformed'],
    ['multipart/form-data; boundary="a"b', 'malformed'],
  ])('is not that of %s', (type, rule) => {
    expect(() => requireBoundary(type)).toThrow(rule);
  });

  it('is read in linear time', () => {
    const start = performance.now();
    for (const piece of ['; a=b', ';a', ' ', '; x="', ';;', '\\'])
      expect(() => requireBoundary(`multipart/form-data${piece.repeat(4000)}`)).toThrow();
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
