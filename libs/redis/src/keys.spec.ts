import { describe, expect, it } from '@jest/globals';
import { runSeed } from '@yuxi/testing';
import { assert, constantFrom, property, string } from 'fast-check';
import { companionKey, encodeName, redisKey } from './keys.js';

describe('key names', () => {
  it.each([
    ['index_db1_file-7.txt', 'index_db1_file-7.txt'],
    ['知识库 100%', '知识库 100%'],
    ['{a}b', '%7Ba%7Db'],
    ['%7Ba', '%257Ba'],
    ['a\r\nb\u0000', 'a%0D%0Ab%00'],
    ['\ud800', '%uD800'],
    ['%uD800', '%25uD800'],
  ])('%j -> %s', (name, encoded) => expect(encodeName(name)).toBe(encoded));

  it('shortens long names between characters, and keeps them different', () => {
    const name = '库'.repeat(60);
    expect(encodeName(name)).toMatch(/^库{42}~[0-9a-f]{32}$/);
    expect(encodeName(name)).not.toBe(encodeName(`${name}2`));
    // A name equal to a shortened one is itself shortened.
    expect(encodeName(encodeName(name))).not.toBe(encodeName(name));
    expect(Buffer.byteLength(encodeName('x'.repeat(1_000_000)))).toBe(161);
  });

  it('keeps different names different, and no name chooses its slot', () => {
    const name = string({
      unit: constantFrom('%', '2', '5', '7', 'B', '{', '}', 'u', 'D', '8', '0', '\n', '\ud800'),
    });
    assert(
      property(name, name, (a, b) => {
        expect(encodeName(a) === encodeName(b)).toBe(a === b);
        expect(encodeName(a)).not.toMatch(/[{}\n]/);
      }),
      { numRuns: 2000, seed: runSeed() },
    );
  });

  it('puts companion keys into the slot of their key', () => {
    const key = redisKey('lock', 'index_{db}');
    expect(key).toBe('yuxi:lock:index_%7Bdb%7D');
    expect(companionKey('lockq', key)).toBe('yuxi:lockq:{yuxi:lock:index_%7Bdb%7D}');
  });
});
