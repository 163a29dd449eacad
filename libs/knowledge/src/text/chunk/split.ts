import { TokenCounter, tokenTenths } from './tokens.js';

/** Part of the markdown in UTF-16 units; `end` is exclusive. */
export interface Range {
  start: number;
  end: number;
}

const NOT_SPACE = /\S/;

/** The range without white space at both ends, or `undefined` if it has only white space. */
export function trimmed(text: string, { start, end }: Range): Range | undefined {
  let from = start;
  let to = end;
  while (from < to && !NOT_SPACE.test(text.charAt(from))) from++;
  while (to > from && !NOT_SPACE.test(text.charAt(to - 1))) to--;
  return from < to ? { start: from, end: to } : undefined;
}

/** Neighbouring ranges of `whole` that end at the given ascending offsets. */
export function cutAt(whole: Range, offsets: Iterable<number>): Range[] {
  const ranges: Range[] = [];
  let start = whole.start;
  for (const offset of offsets) {
    if (offset <= start || offset >= whole.end) continue;
    ranges.push({ start, end: offset });
    start = offset;
  }
  ranges.push({ start, end: whole.end });
  return ranges;
}

interface Piece extends Range {
  tenths: number;
}

/**
 * Neighbouring ranges that cover `whole`, none larger than `limit` tokens. They are full paragraphs if these fit, else lines, sentences, words,
 * and finally code points.
 */
export function split(text: string, whole: Range, limit: number, fences: readonly Range[]): Range[] {
  const levels = [paragraphStarts(fences), lineStarts, sentenceStarts, wordStarts, hardCuts(limit)];
  return joined(pieces(text, whole, limit, levels), limit);
}

function pieces(text: string, range: Range, limit: number, [level, ...finer]: Boundaries[]): Piece[] {
  const tenths = tokenTenths(text.slice(range.start, range.end));
  if (tenths <= 10 * limit || !level) return [{ ...range, tenths }];
  return cutAt(range, level(text, range)).flatMap((part) => pieces(text, part, limit, finer));
}

function joined(parts: Piece[], limit: number): Range[] {
  const result: Piece[] = [];
  for (const part of parts) {
    const last = result.at(-1);
    if (last && last.tenths + part.tenths <= 10 * limit) {
      last.end = part.end;
      last.tenths += part.tenths;
    } else result.push({ ...part });
  }
  return result;
}

/**
 * Start of a range that repeats at most `limit` tokens of the previous one. It is the earliest start of a sentence within reach, else of a
 * word, else of a code point. It is always after `floor`.
 */
export function overlapStart(text: string, start: number, floor: number, limit: number): number {
  if (limit === 0) return start;
  const reach = reachBack(text, start, floor, limit);
  const window = { start: reach, end: start };
  if (reach >= start) return start;
  return firstOf(sentenceStarts(text, window)) ?? firstOf(wordStarts(text, window)) ?? reach;
}

function reachBack(text: string, start: number, floor: number, limit: number): number {
  const counter = new TokenCounter();
  let reach = start;
  while (reach > floor + 1) {
    const character = characterBefore(text, reach);
    if (reach - character.length <= floor || counter.add(character) > 10 * limit) break;
    reach -= character.length;
  }
  return reach;
}

function characterBefore(text: string, at: number): string {
  const pair = at >= 2 ? text.codePointAt(at - 2)! : 0;
  return pair > 0xffff ? text.slice(at - 2, at) : text.charAt(at - 1);
}

function firstOf(offsets: Iterable<number>): number | undefined {
  for (const offset of offsets) return offset;
  return undefined;
}

/** Offsets where a range may be divided, ascending; each is the start of the next part. */
type Boundaries = (text: string, range: Range) => Iterable<number>;

const SPACE = /\s/;
const isSpace = (text: string, at: number): boolean => SPACE.test(text.charAt(at));

/** After each line. */
function* lineStarts(text: string, { start, end }: Range): Generator<number> {
  for (let at = text.indexOf('\n', start); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) yield at + 1;
}

/** After each run of blank lines outside of fenced code. */
function paragraphStarts(fences: readonly Range[]): Boundaries {
  return function* (text, range) {
    let fence = 0;
    let blank = false;
    for (const at of [range.start, ...lineStarts(text, range)]) {
      const isBlank = at < range.end && lineIsBlank(text, at, range.end);
      while (fence < fences.length && fences[fence]!.end <= at) fence++;
      const inFence = fence < fences.length && fences[fence]!.start < at;
      if (blank && !isBlank && !inFence) yield at;
      blank = isBlank;
    }
  };
}

function lineIsBlank(text: string, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    if (text.charAt(at) === '\n') return true;
    if (!isSpace(text, at)) return false;
  }
  return true;
}

const WIDE_END = new Set('。！？；…');
const ASCII_END = new Set('.!?');
const CLOSING = new Set('"\')]}”’」』）】》');

/** After each sentence with its closing marks and the white space that follows. */
function* sentenceStarts(text: string, { start, end }: Range): Generator<number> {
  for (let at = start; at < end;) {
    const first = text.charAt(at++);
    if (!WIDE_END.has(first) && !ASCII_END.has(first)) continue;
    let wide = WIDE_END.has(first);
    for (; at < end; at++) {
      const mark = text.charAt(at);
      if (WIDE_END.has(mark)) wide = true;
      else if (!ASCII_END.has(mark) && !CLOSING.has(mark)) break;
    }
    if (!wide && at < end && !isSpace(text, at)) continue;
    while (at < end && isSpace(text, at)) at++;
    yield at;
  }
}

/** After each run of white space. */
function* wordStarts(text: string, { start, end }: Range): Generator<number> {
  for (let at = start + 1; at < end; at++) if (isSpace(text, at - 1) && !isSpace(text, at)) yield at;
}

/** After the last code point that fits the limit, each time. */
function hardCuts(limit: number): Boundaries {
  return function* (text, { start, end }) {
    let counter = new TokenCounter();
    for (let at = start; at < end;) {
      const character = String.fromCodePoint(text.codePointAt(at)!);
      if (counter.add(character) > 10 * limit) {
        yield at;
        counter = new TokenCounter();
        counter.add(character);
      }
      at += character.length;
    }
  };
}
