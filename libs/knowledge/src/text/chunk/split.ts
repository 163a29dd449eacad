import { hardCuts, lineStarts, paragraphStarts, sentenceStarts, wordStarts, type Boundaries } from './boundaries.js';
import { cutAt, type Range } from './range.js';
import { tokenTenths } from './tokens.js';

interface Piece extends Range {
  tenths: number;
}

/**
 * Neighbouring ranges that cover `whole`, none larger than `limit` tokens: full paragraphs where they fit, else lines,
 * sentences, words, and at last code points.
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
