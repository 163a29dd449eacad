import { stemmer } from 'stemmer';
import { ENGLISH_STOPWORDS } from './stopwords.js';

const ASCII_WORD = /^[a-z]+$/;
const NON_ASCII = /\P{ASCII}/u;
const MARKS = /\p{M}+/gu;

const CACHE_LIMIT = 20_000;
const stems = new Map<string, string>();

/** Term of a lower-case Latin word or a number, or `undefined` for a stopword. */
export function latinTerm(word: string): string | undefined {
  const plain = NON_ASCII.test(word) ? word.normalize('NFKD').replace(MARKS, '') : word;
  if (plain === '' || ENGLISH_STOPWORDS.has(plain)) return undefined;
  return ASCII_WORD.test(plain) ? stem(plain) : plain;
}

function stem(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  const result = stemmer(word);
  if (stems.size >= CACHE_LIMIT) stems.clear();
  stems.set(word, result);
  return result;
}
