import { stemmer } from 'stemmer';

const MAX_TERM = 64;

/**
 * Version of the rules that make terms. It includes the version of ICU, which has the dictionaries. Terms of different versions do not match,
 * so that after a change every file must be indexed again.
 */
export const ANALYZER_VERSION = `1/icu-${process.versions.icu ?? 'none'}`;

/** A run of Han characters, of Latin letters and digits, or of letters of another script. The classes do not overlap. */
const RUN =
  /(?<han>\p{sc=Han}+)|(?<latin>[\p{sc=Latin}\p{N}][\p{sc=Latin}\p{N}\p{M}]*)|(?<other>(?:(?![\p{sc=Han}\p{sc=Latin}\p{N}])[\p{L}\p{M}])+)/gu;

/**
 * Terms of a document or of a question, in reading order, with repetitions.
 * English words are stemmed, stopwords are dropped, numbers stay. Han text becomes words and bigrams, other scripts become words. Terms are in
 * NFKC, lower case, at most 64 UTF-16 units. Time is linear in the length. Never throws.
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

/** Number of occurrences of each term. Their sum is the length of the document for BM25. */
export function termFrequencies(text: string): Map<string, number> {
  const frequencies = new Map<string, number>();
  for (const term of analyze(text)) frequencies.set(term, (frequencies.get(term) ?? 0) + 1);
  return frequencies;
}

const PIECE = 4096;
const LONE_SURROGATE = /\p{Surrogate}/gu;
const SPACE = /\s/;

/** The text in pieces of at most 4,096 units. A piece ends at white space if there is any, never inside a surrogate pair. */
function* pieces(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = cutBefore(text, start, start + PIECE);
    yield text.slice(start, end);
    start = end;
  }
}

function cutBefore(text: string, start: number, end: number): number {
  if (end >= text.length) return text.length;
  for (let at = end; at > start; at--) if (SPACE.test(text.charAt(at))) return at;
  const pair = isHigh(text.charCodeAt(end - 1)) && isLow(text.charCodeAt(end));
  return pair ? end - 1 : end;
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/**
 * Normalised pieces (NFKC, lower case, well-formed) of a text of any length. Normalisation and dictionary segmentation can need quadratic time
 * for one very long word or many combining marks. The limit of a piece keeps the total time linear.
 */
function* normalisedPieces(text: string): Generator<string> {
  for (const piece of pieces(text)) {
    yield piece.replace(LONE_SURROGATE, ' ').normalize('NFKC').toLowerCase().normalize('NFKC');
  }
}

const ASCII_WORD = /^[a-z]+$/;
const NON_ASCII = /\P{ASCII}/u;
const MARKS = /\p{M}+/gu;

const CACHE_LIMIT = 20_000;
const stems = new Map<string, string>();

/** Term of a lower-case Latin word or a number, or `undefined` for a stopword. */
function latinTerm(word: string): string | undefined {
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

const han = new Intl.Segmenter('zh', { granularity: 'word' });
const other = new Intl.Segmenter('und', { granularity: 'word' });

/** Scripts without spaces between words. Only these need a dictionary. */
const UNSPACED = /[\p{scx=Hiragana}\p{scx=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/**
 * Terms of a run of Han characters: words of the dictionary, then all pairs of neighbours. The pairs match when the dictionary divides the
 * question and the document differently.
 */
function hanTerms(run: string, into: string[]): void {
  const characters = Array.from(run);
  if (characters.length === 1) {
    into.push(run);
    return;
  }
  for (const { segment } of han.segment(run)) if (!CHINESE_STOPWORDS.has(segment)) into.push(segment);
  for (let i = 1; i < characters.length; i++) into.push(`${characters[i - 1]}${characters[i]}`);
}

/** Words of a run of letters that are neither Latin nor Han. */
function otherTerms(run: string, into: string[]): void {
  if (!UNSPACED.test(run)) {
    into.push(run);
    return;
  }
  for (const { segment, isWordLike } of other.segment(run)) if (isWordLike) into.push(segment);
}

const ENGLISH = `
  a about above after again all also am an and any are as at be because been before being below between both but by
  can could did do does doing down during each few for from further had has have having he her here hers him his how
  i if in into is it its itself just may me might more most must my no nor not of off on once only or other our out
  over own same shall she should so some such than that the their them then there these they this those through to
  too under until up upon us very was we were what when where which while who whom why will with would you your`;

const CHINESE = '的 了 是 在 和 与 及 或 也 都 就 而 着 吗 呢 吧 啊 这 那 之 其 被 把 对 于 从 到 为 以';

/** English words without meaning for a search. */
const ENGLISH_STOPWORDS: ReadonlySet<string> = new Set(ENGLISH.trim().split(/\s+/));

/** Chinese function words. They are dropped as words, not inside bigrams. */
const CHINESE_STOPWORDS: ReadonlySet<string> = new Set(CHINESE.split(' '));
