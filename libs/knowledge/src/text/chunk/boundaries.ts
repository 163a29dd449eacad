import type { Range } from './range.js';
import { TokenCounter } from './tokens.js';

/** Offsets at which a range may be cut, ascending; each is the start of what follows. */
export type Boundaries = (text: string, range: Range) => Iterable<number>;

const SPACE = /\s/;
const isSpace = (text: string, at: number): boolean => SPACE.test(text.charAt(at));

/** After each line. */
export function* lineStarts(text: string, { start, end }: Range): Generator<number> {
  for (let at = text.indexOf('\n', start); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) yield at + 1;
}

/** After each run of blank lines that does not lie in fenced code. */
export function paragraphStarts(fences: readonly Range[]): Boundaries {
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

/** After each sentence: its closing marks and the white space that follows stay with it. */
export function* sentenceStarts(text: string, { start, end }: Range): Generator<number> {
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
export function* wordStarts(text: string, { start, end }: Range): Generator<number> {
  for (let at = start + 1; at < end; at++) if (isSpace(text, at - 1) && !isSpace(text, at)) yield at;
}

/** Wherever the limit is reached, at the next full code point before it. */
export function hardCuts(limit: number): Boundaries {
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
