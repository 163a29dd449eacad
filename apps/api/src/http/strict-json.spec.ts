import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ApiError } from './api-error.js';
import { parseStrictJson } from './strict-json.js';

function refusalOf(body: Buffer | string): ApiError {
  try {
    parseStrictJson(Buffer.isBuffer(body) ? body : Buffer.from(body));
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('not refused');
}

describe('parseStrictJson', () => {
  it.each<[string, string, string]>([
    ['empty body', '', 'empty'],
    ['only space', ' \n', 'empty'],
    ['cut off', '{"a":', 'a: unexpected end'],
    ['trailing comma in an object', '{"a":1,}', 'expected a key'],
    ['trailing comma in an array', '[1,]', '[1]: unexpected character'],
    ['two documents', '{} {}', 'text after the end'],
    ['single quotes', "{'a':1}", 'expected a key'],
    ['missing colon', '{"a" 1}', 'a: expected ":"'],
    ['wrong bracket', '[1}', 'expected "," or "]"'],
    ['comment', '{/* */}', 'expected a key'],
    ['number out of range', '{"a":{"b":[0,1e400]}}', 'a.b[1]: number out of range'],
    ['integer beyond 2^53', '{"id":9007199254740993}', 'id: integer beyond'],
    ['negative zero', '[-0]', '[0]: negative zero'],
    ['negative zero as a fraction', '[-0.0]', '[0]: negative zero'],
    ['NaN', '[NaN]', 'unexpected character'],
    ['Infinity', '[-Infinity]', 'malformed number'],
    ['leading zero', '[01]', 'expected "," or "]"'],
    ['plus sign', '[+1]', 'unexpected character'],
    ['lone surrogate', '["\\ud800"]', 'lone surrogate'],
    ['lone low surrogate in a key', '{"\\udc00":1}', 'lone surrogate'],
    ['NUL', '{"name":"a\\u0000b"}', 'name: NUL'],
    ['raw control character', '["a\nb"]', 'control character'],
    ['unknown escape', '["\\x41"]', 'unknown escape'],
    ['duplicate key', '{"a":1,"b":{"c":1,"c":2}}', 'b.c: duplicate key'],
    ['duplicate key, written otherwise', '{"a":1,"\\u0061":2}', 'a: duplicate key'],
    ['__proto__', '{"a":{"__proto__":{}}}', 'a.__proto__: this key is not allowed'],
    ['__proto__ escaped', '{"\\u005f_proto__":{}}', 'this key is not allowed'],
    ['constructor', '{"constructor":1}', 'this key is not allowed'],
    ['depth', '['.repeat(1000) + ']'.repeat(1000), 'deeper than 32'],
    ['open brackets', '[[[[', 'unexpected end'],
    ['byte order mark', '\ufeff{}', 'byte order mark'],
  ])('refuses %s with 400', (_name, body, message) => {
    const error = refusalOf(body);
    expect(['INVALID_JSON', 'INVALID_INPUT']).toContain(error.code);
    expect(error.message).toContain(message);
  });

  it('names the position', () => {
    expect(refusalOf('{"a":1,"a":2}').message).toContain('(position 10)');
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(refusalOf(Buffer.from([0x22, 0xc3, 0x28, 0x22])).message).toContain('UTF-8');
    expect(refusalOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])).message).toContain('UTF-8');
  });

  it('refuses UTF-16 as a type', () => {
    for (const body of [Buffer.from('{"a":1}', 'utf16le'), Buffer.from('\ufeff{}', 'utf16le')])
      expect(refusalOf(body).code).toBe('UNSUPPORTED_TYPE');
  });

  it('refuses too many values as too large', () => {
    expect(refusalOf(`[${'1,'.repeat(100_000)}1]`).code).toBe('PAYLOAD_TOO_LARGE');
  });

  it('reads 32 levels, escapes, pairs of surrogates and the limits of numbers', () => {
    const deep = '['.repeat(32) + ']'.repeat(32);
    expect(parseStrictJson(Buffer.from(deep))).toEqual(JSON.parse(deep));
    const text = '{"a":"\\ud83d\\ude00\\n\\/","b":[9007199254740991,-9007199254740991,1.5e-7,0],"c":{},"":null}';
    expect(parseStrictJson(Buffer.from(` ${text}\r\n`))).toEqual(JSON.parse(text));
  });

  it('reads whatever JSON.stringify writes, but numbers that JSON readers disagree about', () => {
    const key = fc.string({ unit: 'grapheme' }).filter((name) => !['__proto__', 'constructor'].includes(name));
    const number = fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, tie('leaf'), fc.array(tie('value')), fc.dictionary(key, tie('value'))),
      leaf: fc.oneof(fc.string({ unit: 'grapheme' }), number, fc.boolean(), fc.constant(null)),
    }));
    fc.assert(
      fc.property(value, fc.nat(4), (json, indent) => {
        const text = JSON.stringify(json, null, indent);
        if (text.includes('\\u0000')) return;
        expect(parseStrictJson(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  it('agrees with JSON.parse on what is malformed', () => {
    const mutated = fc
      .tuple(
        fc.jsonValue({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '{', ':', '\\', '0', '-', 'e'),
      )
      .map(([json, at, char]) => {
        const text = JSON.stringify(json);
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + char + text.slice(cut + 1);
      });
    fc.assert(
      fc.property(mutated, (text) => {
        const native = attempt(() => JSON.parse(text) as unknown);
        const strict = attempt(() => parseStrictJson(Buffer.from(text)));
        if (!native.ok) expect(strict.ok).toBe(false);
        if (strict.ok) expect(strict.value).toEqual(native.value);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes linear time on hostile shapes', () => {
    const keys = Array.from({ length: 50_000 }, (_, index) => `"k${index}":0`).join(',');
    const started = performance.now();
    parseStrictJson(Buffer.from(`{${keys}}`));
    refusalOf(`"${'\\u0041'.repeat(150_000)}`);
    refusalOf(' '.repeat(1_000_000));
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

function attempt(read: () => unknown): { ok: boolean; value?: unknown } {
  try {
    return { ok: true, value: read() };
  } catch {
    return { ok: false };
  }
}
