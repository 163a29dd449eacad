import { describe, expect, it } from '@jest/globals';
import { runSeed } from '@yuxi/testing';
import * as fc from 'fast-check';
import { analyze, ANALYZER_VERSION, termFrequencies } from './analyze.js';

const mebi = (unit: string): string => unit.repeat(Math.ceil(2 ** 20 / unit.length)).slice(0, 2 ** 20);

describe('analyze', () => {
  it('stems English words and drops stopwords', () => {
    expect(analyze('The flows are flowing; models of AEROELASTIC structures')).toEqual([
      'flow',
      'flow',
      'model',
      'aeroelast',
      'structur',
    ]);
  });

  it('separates compounds and possessives and keeps numbers', () => {
    expect(analyze("boundary-layer 2024 Mach 2.5 pilot's")).toEqual([
      'boundari',
      'layer',
      '2024',
      'mach',
      '2',
      '5',
      'pilot',
      's',
    ]);
  });

  it.each([
    ['full-width forms', 'Ｒｅｄｉｓ １２', 'redis 12'],
    ['ligatures', 'ﬁnding', 'finding'],
    ['accents', 'Café naïve', 'cafe naive'],
    ['composed and decomposed letters', 'e\u0301te\u0301', 'été'],
    ['half-width katakana', 'ｶﾅ', 'カナ'],
  ])('makes %s equal', (_what, given, same) => {
    expect(analyze(given)).toEqual(analyze(same));
  });

  it('returns words and bigrams of Han text, and a single character unchanged', () => {
    const terms = analyze('中华人民共和国');
    expect(terms).toEqual(expect.arrayContaining(['中华', '华人', '人民', '民共', '共和', '和国']));
    expect(terms.length).toBeGreaterThan(6);
    expect(analyze('猫')).toEqual(['猫']);
    expect(analyze('第3章')).toEqual(['第', '3', '章']);
    expect(analyze('𠮷野')).toContain('𠮷野');
  });

  it.each([
    ['Kana', 'ひらがな カタカナ', 'カタカナ'],
    ['Hangul', '한국어 문서', '한국어'],
    ['Cyrillic', 'Привет, мир', 'привет'],
    ['Thai', 'ภาษาไทย', 'ไทย'],
  ])('keeps words of %s', (_script, text, word) => {
    expect(analyze(text)).toContain(word);
  });

  it('returns no term for punctuation, symbols and lone surrogates', () => {
    expect(analyze(' \0\t…—☃ 👍 \ud800 \udc00 __ ')).toEqual([]);
  });

  it('returns short, well-formed, lower-case terms for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        for (const term of analyze(text)) {
          expect(term).not.toMatch(/^$|.{65}|\s|\0|\p{Surrogate}/u);
          expect(term).toBe(term.toLowerCase());
        }
      }),
      { seed: runSeed() },
    );
  });

  it('has the version of ICU in its own version', () => {
    expect(ANALYZER_VERSION).toContain(process.versions.icu);
  });

  it('counts terms, including names of object properties', () => {
    const counts = termFrequencies('constructor proto proto constructor proto');
    expect([...counts]).toEqual([
      ['constructor', 2],
      ['proto', 3],
    ]);
  });
});

describe('hostile text of 1 Mi characters', () => {
  it.each([
    ['one letter', 'a'],
    ['one Han character', '中'],
    ['combining marks in the wrong order', '\u0300\u0316'],
    ['sigmas', 'Σ\u0345'],
    ['lone surrogates', '\ud800'],
    ['a ligature that grows eighteenfold', '\ufdfa'],
    ['Thai', 'ภาษาไทย'],
    ['apostrophes', "a'"],
  ])('%s is analysed in bounded time', (_what, unit) => {
    const before = process.cpuUsage();
    for (const term of new Set(analyze(mebi(unit)))) expect(term.length).toBeLessThanOrEqual(64);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(15_000);
  });
});
