import { OptionsError } from '@yuxi/core';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { chunk, chunkId, estimateTokens, type Chunk, type ChunkOptions } from '../index.js';

const words = (count: number, word = 'word'): string =>
  Array.from({ length: count }, (_, i) => `${word}${i}`).join(' ');
const texts = (chunks: readonly Chunk[]): string[] => chunks.map(({ text }) => text);

describe('chunk', () => {
  it('makes one chunk of a short text and none of white space', () => {
    expect(chunk('  one\n\ntwo \n')).toEqual([{ index: 0, text: 'one\n\ntwo', headingPath: [], start: 2, end: 10 }]);
    expect(chunk(' \n\t\u3000\n')).toEqual([]);
    expect(chunk('')).toEqual([]);
  });

  it('starts a chunk at each heading and gives its heading path', () => {
    const body = words(20);
    const chunks = chunk(`# A\n\n${body}\n\n## B ##\n\n${body}\n\n# C\n\n${body}`, { size: 64 });
    expect(chunks.map(({ headingPath }) => headingPath)).toEqual([['A'], ['A', 'B'], ['C']]);
    expect(chunks.at(1)!.text).toMatch(/^## B ##\n\nword0/);
  });

  it('keeps a heading without text together with the next section', () => {
    const chunks = chunk(`# Title\n\n## Part\n\n${words(60)}`, { size: 64 });
    expect(chunks.at(0)!.text).toMatch(/^# Title\n\n## Part\n\nword0/);
    expect(chunks.at(0)!.headingPath).toEqual(['Title', 'Part']);
  });

  it('finds no heading in fenced code and keeps the code together', () => {
    const code = '```sh\n# not a heading\n\nls\n```';
    const chunks = chunk(`# Real\n\n${words(30)}\n\n${code}\n\n${words(30)}`, { size: 48 });
    expect(chunks.every(({ headingPath }) => headingPath.join() === 'Real')).toBe(true);
    expect(texts(chunks).some((text) => text.includes(code))).toBe(true);
  });

  it('ends chunks after sentences, with their closing marks', () => {
    const text = '今天天气很好。我们去公园走走！你也来吗？他说：“当然。”Pi is 3.14159 or so. Yes';
    expect(texts(chunk(text, { size: 9 }))).toEqual([
      '今天天气很好。',
      '我们去公园走走！',
      '你也来吗？',
      '他说：“当然。”',
      'Pi is 3.14159 or so. Yes',
    ]);
  });

  it('divides a very long word at the limit, never inside a surrogate pair', () => {
    const chunks = chunk('𠮷'.repeat(100), { size: 8 });
    expect(chunks).toHaveLength(13);
    expect(chunks.at(0)!.text).toBe('𠮷'.repeat(8));
  });

  it('repeats full sentences of the previous chunk as overlap', () => {
    const text = Array.from({ length: 12 }, (_, i) => `Sentence ${i} ends here.`).join(' ');
    const [first, second] = chunk(text, { size: 32, overlap: 8 });
    expect(second?.start).toBeLessThan(first?.end ?? 0);
    expect(second?.text).toMatch(/^Sentence/);
  });

  it('divides at the given separator', () => {
    const chunks = chunk('## Q1\na\n===\n## Q2\nb\n===\n===\n', { preset: 'separator', separator: '===' });
    expect(texts(chunks)).toEqual(['## Q1\na\n===', '## Q2\nb\n===\n===']);
    expect(chunks.at(1)!.headingPath).toEqual(['Q2']);
  });

  it.each<ChunkOptions>([
    { size: 7 },
    { size: 1.5 },
    { size: NaN },
    { overlap: 257 },
    { overlap: -1 },
    { separator: '' },
  ])('refuses the options %j', (options) => {
    expect(() => chunk('x', options)).toThrow(OptionsError);
  });
});

describe('chunks of any text', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\n',
      '\n\n',
      ' ',
      '# H\n',
      '## 二\n',
      '```\n',
      '~~~\n',
      '| a | b |\n',
      '。',
      '. ',
      '！',
      '-',
      '𠮷',
      '\ud800',
      'é',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('word ', '中文', 'averyveryveryverylongword', 'x'.repeat(60)),
  );
  const document = fc.array(piece, { maxLength: 60 }).map((parts) => parts.join(''));
  const options = fc.record({
    size: fc.integer({ min: 8, max: 40 }),
    overlap: fc.integer({ min: 0, max: 4 }),
    preset: fc.constantFrom('general' as const, 'separator' as const),
  });
  const run = (check: (text: string, chunks: Chunk[], o: { size: number; overlap: number }) => void): void =>
    fc.assert(
      fc.property(document, options, (text, o) => check(text, chunk(text, o), o)),
      { numRuns: 500 },
    );

  it('are slices in order, none blank, none divided inside a code point', () => {
    run((text, chunks) => {
      chunks.forEach((one, i) => {
        expect(one.index).toBe(i);
        expect(text.slice(one.start, one.end)).toBe(one.text);
        expect(one.text.trim()).toBe(one.text);
        expect(one.text).not.toBe('');
        for (const at of [one.start, one.end]) expect(insidePair(text, at)).toBe(false);
        if (i > 0) expect(one.start > chunks.at(i - 1)!.start && one.end > chunks.at(i - 1)!.end).toBe(true);
      });
    });
  });

  it('respect the limits of size and overlap', () => {
    run((text, chunks, { size, overlap }) => {
      chunks.forEach((one, i) => {
        expect(estimateTokens(one.text)).toBeLessThanOrEqual(size);
        const before = chunks[i - 1]?.end ?? 0;
        expect(estimateTokens(text.slice(one.start, Math.max(one.start, before)))).toBeLessThanOrEqual(overlap);
      });
    });
  });

  it('cover everything but white space', () => {
    run((text, chunks) => {
      let reached = 0;
      for (const { start, end } of chunks) {
        expect(text.slice(reached, Math.max(reached, start)).trim()).toBe('');
        reached = end;
      }
      expect(text.slice(reached).trim()).toBe('');
    });
  });

  it('are the same for the same text', () => {
    run((text, chunks, o) => {
      if (chunks.length > 0)
        expect(chunk(text, { ...o, preset: 'general' })).toEqual(chunk(text, { ...o, preset: 'general' }));
    });
  });
});

function insidePair(text: string, at: number): boolean {
  return at > 0 && text.codePointAt(at - 1)! > 0xffff;
}

describe('chunkId', () => {
  it('is different for other files, texts and repetitions', () => {
    const ids = [
      chunkId('f', 'a', 0),
      chunkId('f', 'a', 1),
      chunkId('g', 'a', 0),
      chunkId('f', 'b', 0),
      chunkId('fa', '', 0),
    ];
    expect(new Set(ids).size).toBe(5);
    expect(ids[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(chunkId('f', 'a', 0)).toBe(ids[0]);
  });
});
