import { cutAt, type Range } from './range.js';
import type { Section } from './sections.js';
import { estimateTokens } from './tokens.js';

/** What is shorter than this share of the size does not stand alone before a heading. */
const TINY_SHARE = 1 / 16;

/** Sections, a very short one together with the one that follows it, or at the end with the one before. */
export function generalSpans(text: string, sections: readonly Section[], size: number): Range[] {
  const spans: (Range & { tokens: number })[] = [];
  for (const { start, end } of sections) {
    const tokens = estimateTokens(text.slice(start, end));
    const last = spans.at(-1);
    if (last && last.tokens < size * TINY_SHARE) {
      last.end = end;
      last.tokens += tokens;
    } else spans.push({ start, end, tokens });
  }
  const [before, last] = spans.slice(-2);
  if (before && last && last.tokens < size * TINY_SHARE && before.tokens + last.tokens <= size) {
    before.end = last.end;
    spans.pop();
  }
  return spans;
}

/** Cuts after each separator; a piece of separators and white space only goes with the piece before it. */
export function separatorSpans(text: string, separator: string): Range[] {
  const spans: Range[] = [];
  for (const piece of cutAt({ start: 0, end: text.length }, separatorEnds(text, separator))) {
    const content = text.slice(piece.start, piece.end);
    const last = spans.at(-1);
    if (last && content.replaceAll(separator, '').trim() === '') last.end = piece.end;
    else spans.push(piece);
  }
  return spans;
}

function* separatorEnds(text: string, separator: string): Generator<number> {
  for (let at = text.indexOf(separator); at !== -1; at = text.indexOf(separator, at + separator.length)) {
    yield at + separator.length;
  }
}
