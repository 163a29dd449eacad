import { seededRandom } from '@yuxi/testing';

/** A kind of document that is difficult to parse or index. */
export interface DocumentKind {
  name: string;
  ending: 'txt' | 'md' | 'html';
  /** A text of about `bytes` bytes in UTF-8; equal for an equal seed. */
  make(bytes: number, seed: number): string;
}

type Random = () => number;

/** Joins pieces until there are enough bytes. */
function fill(bytes: number, next: (i: number) => string): string {
  const pieces: string[] = [];
  for (let i = 0, size = 0; size < bytes; i++) {
    const piece = next(i);
    pieces.push(piece);
    size += Buffer.byteLength(piece);
  }
  return pieces.join('');
}

const below = (random: Random, limit: number): number => Math.floor(random() * limit);

/** Characters of a range of code points. */
const characters = (random: Random, count: number, first: number, last: number): string =>
  String.fromCodePoint(...Array.from({ length: count }, () => first + below(random, last - first + 1)));

const latin = (random: Random, length: number): string => characters(random, length, 0x61, 0x7a);

/** Words as in a natural language: few are frequent and many are rare. */
function vocabulary(random: Random, make: (random: Random) => string, size = 20_000): () => string {
  const words = Array.from({ length: size }, () => make(random));
  return () => words[Math.floor(size ** random()) - 1] ?? words[0]!;
}

const sentences = (word: () => string, random: Random) => (i: number) =>
  `${Array.from({ length: 5 + below(random, 12) }, word).join(' ')}.${i % 8 === 7 ? '\n\n' : ' '}`;

const text = (name: string, next: (random: Random) => (i: number) => string): DocumentKind => ({
  name,
  ending: 'txt',
  make: (bytes, seed) => fill(bytes, next(seededRandom(seed))),
});
const markdown = (name: string, next: (random: Random) => (i: number) => string): DocumentKind => ({
  ...text(name, next),
  ending: 'md',
});

const english = (random: Random) => vocabulary(random, (r) => latin(r, 2 + below(r, 9)));
const FAMILY = '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}\u200D\u{1F466}';

export const DOCUMENT_KINDS: readonly DocumentKind[] = [
  text('English', (random) => sentences(english(random), random)),
  text('right to left', (random) =>
    sentences(
      vocabulary(random, (r) =>
        r() < 0.5
          ? characters(r, 2 + below(r, 6), 0x5d0, 0x5ea)
          : `${characters(r, 2 + below(r, 6), 0x627, 0x64a)}\u064e`,
      ),
      random,
    ),
  ),
  text('each word once', (random) => (i) => `${latin(random, 3)}${i.toString(36)}${i % 12 === 11 ? '.\n' : ' '}`),
  text('random Han', (random) => () => characters(random, 500, 0x4e00, 0x9fa5)),
  text('one line', (random) => {
    const word = english(random);
    return () => `${word()} `;
  }),
  text('one endless word', (random) => () => latin(random, 1000)),
  text('emoji of joined people', (random) => () => `${FAMILY}\u200D${characters(random, 1, 0x1f3fb, 0x1f3ff)}`),
  text(
    'combining marks',
    (random) => (i) => `${latin(random, 1)}${characters(random, 50, 0x300, 0x36f)}${i % 40 === 39 ? ' ' : ''}`,
  ),
  text('Thai', (random) => (i) => `${characters(random, 400, 0xe01, 0xe2e)}${i % 5 === 4 ? '\n' : ' '}`),
  text('Korean', (random) => {
    const stem = vocabulary(random, (r) => characters(r, 1 + below(r, 4), 0xac00, 0xd7a3));
    return sentences(() => `${stem()}는`, random);
  }),
  text(
    'Japanese kana',
    (random) => (i) => `${characters(random, 20 + below(random, 40), 0x3041, 0x3093)}${i % 2 ? '。' : 'カタカナー'}`,
  ),
  text('numbers', (random) => (i) => `${(random() * 1e9).toFixed(below(random, 6))}${i % 10 === 9 ? '\n' : ' '}`),
  text(
    'comma-separated values',
    (random) => (i) =>
      `${i},"${latin(random, 8)}, ${latin(random, 6)}",${(random() * 1000).toFixed(2)},2024-01-${10 + (i % 18)},,\n`,
  ),
  text('base64', (random) => () => {
    const line = Buffer.from(characters(random, 57, 0, 0xff), 'latin1');
    return `${line.toString('base64')}\n`;
  }),
  text('blank lines', (random) => () => `${'\n'.repeat(1 + below(random, 300))}${latin(random, 4)}`),
  markdown('nested lists', (random) => {
    const word = english(random);
    return (i) => `${'  '.repeat(i % 40)}- ${word()} ${word()}\n`;
  }),
  {
    name: 'table of 100,000 rows',
    ending: 'md',
    make: (bytes, seed) => {
      const random = seededRandom(seed);
      const row = () => `| ${latin(random, 12)} | ${below(random, 100_000)} | ${latin(random, 15)} |\n`;
      return `| name | value | note |\n| --- | --- | --- |\n${fill(bytes, row)}`;
    },
  },
  markdown('headings only', () => () => '# a\n'),
  markdown('links and headings', (random) => {
    const word = english(random);
    return (i) =>
      i % 10 === 0
        ? `\n\n${'#'.repeat(1 + (i % 6))} [${word()}](https://example.org/${i})\n\n`
        : `[${word()}](https://example.org/${i}?a=*b* "**${word()}**") ![x][${i}] `;
  }),
  markdown('code fences', (random) => {
    const word = english(random);
    return (i) => `\`\`\`ts\nconst ${latin(random, 6)} = ${i};\n${word()}(${word()});\n\`\`\`\n\n`;
  }),
  {
    name: 'deep HTML',
    ending: 'html',
    make: (bytes) => {
      const depth = Math.ceil(bytes / '<div>a</div>'.length);
      return `${'<div>a'.repeat(depth)}${'</div>'.repeat(depth)}`;
    },
  },
  {
    name: 'wide HTML',
    ending: 'html',
    make: (bytes, seed) => {
      const random = seededRandom(seed);
      const word = english(random);
      const item = (i: number) =>
        `<li><a href="/${i}"><b>${word()}</b></a> <i>${word()}</i><table><tr><td>${word()}</td><td>${i}</td></tr></table></li>`;
      return `<html><body><ul>${fill(bytes, item)}</ul></body></html>`;
    },
  },
];
