import { latinTerm } from './latin.js';
import { normalisedPieces } from './pieces.js';
import { hanTerms, otherTerms } from './segment.js';

const MAX_TERM = 64;

/**
 * Name of the rules that make terms, including the version of ICU, which carries the dictionaries.
 * Terms of different versions do not match each other: a change means that every file has to be indexed again.
 */
export const ANALYZER_VERSION = `1/icu-${process.versions.icu ?? 'none'}`;

/** A run of one kind: Han, Latin letters and digits, or letters of another script. No two classes overlap. */
const RUN =
  /(?<han>\p{sc=Han}+)|(?<latin>[\p{sc=Latin}\p{N}][\p{sc=Latin}\p{N}\p{M}]*)|(?<other>(?:(?![\p{sc=Han}\p{sc=Latin}\p{N}])[\p{L}\p{M}])+)/gu;

/**
 * Terms of a document or of a question, in reading order, with repetitions.
 * English words lose their endings, stopwords are dropped, numbers stay; Han becomes words and bigrams; other scripts
 * become words. Terms are NFKC, lower case and at most 64 UTF-16 units. Time is linear in the length; never throws.
 */
export function analyze(text: string): string[] {
  const terms: string[] = [];
  for (const piece of normalisedPieces(text)) {
    for (const match of piece.matchAll(RUN)) addRun(match, terms);
  }
  return terms;
}

function addRun({ groups }: RegExpMatchArray, terms: string[]): void {
  if (groups?.['latin'] !== undefined) {
    const term = latinTerm(cap(groups['latin']));
    if (term !== undefined) terms.push(cap(term));
  } else if (groups?.['han'] !== undefined) {
    hanTerms(groups['han'], terms);
  } else if (groups?.['other'] !== undefined) {
    const words: string[] = [];
    otherTerms(groups['other'], words);
    for (const word of words) terms.push(cap(word));
  }
}

function cap(term: string): string {
  if (term.length <= MAX_TERM) return term;
  const cut = term.slice(0, MAX_TERM);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/** How often each term of the text occurs; the sum of the values is the length of the document for BM25. */
export function termFrequencies(text: string): Map<string, number> {
  const frequencies = new Map<string, number>();
  for (const term of analyze(text)) frequencies.set(term, (frequencies.get(term) ?? 0) + 1);
  return frequencies;
}
