import { sentenceStarts, wordStarts } from './boundaries.js';
import { TokenCounter } from './tokens.js';

/**
 * Where a range may start instead, so that it repeats at most `limit` tokens of the one before: the earliest start of a
 * sentence within reach, else of a word, else of a code point. `floor` is never reached.
 */
export function overlapStart(text: string, start: number, floor: number, limit: number): number {
  if (limit === 0) return start;
  const reach = reachBack(text, start, floor, limit);
  const window = { start: reach, end: start };
  if (reach >= start) return start;
  return first(sentenceStarts(text, window)) ?? first(wordStarts(text, window)) ?? reach;
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

function first(offsets: Iterable<number>): number | undefined {
  for (const offset of offsets) return offset;
  return undefined;
}
