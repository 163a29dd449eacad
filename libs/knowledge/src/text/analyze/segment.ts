import { CHINESE_STOPWORDS } from './stopwords.js';

const han = new Intl.Segmenter('zh', { granularity: 'word' });
const other = new Intl.Segmenter('und', { granularity: 'word' });

/** Scripts written without spaces between words: only these need a dictionary. */
const UNSPACED = /[\p{scx=Hiragana}\p{scx=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/**
 * Terms of a run of Han characters: words by dictionary, then all pairs of neighbours.
 * The pairs find what the dictionary cuts differently in the question and in the document.
 */
export function hanTerms(run: string, into: string[]): void {
  const characters = Array.from(run);
  if (characters.length === 1) {
    into.push(run);
    return;
  }
  for (const { segment } of han.segment(run)) if (!CHINESE_STOPWORDS.has(segment)) into.push(segment);
  for (let i = 1; i < characters.length; i++) into.push(`${characters[i - 1]}${characters[i]}`);
}

/** Words of a run of letters that are neither Latin nor Han. */
export function otherTerms(run: string, into: string[]): void {
  if (!UNSPACED.test(run)) {
    into.push(run);
    return;
  }
  for (const { segment, isWordLike } of other.segment(run)) if (isWordLike) into.push(segment);
}
