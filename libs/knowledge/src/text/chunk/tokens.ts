const WORD = 13;
const WORD_UNITS = 16;
const WIDE_COST = 10;

const SPACE = /\s/;
const WIDE = /[\p{sc=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{sc=Hangul}\uff01-\uff65]/u;

/**
 * Counts estimated tokens character by character, in either direction. A Han, Kana, Hangul or full-width character counts 1. A run of other
 * characters counts 1.3 for each 16 UTF-16 units or part of them. White space counts 0. The sum of the parts of a text is never smaller than the
 * whole. The unit is a tenth, so that sums are exact.
 */
export class TokenCounter {
  #tenths = 0;
  #run = 0;

  /** Adds a code point and returns the tokens so far, in tenths. */
  add(character: string): number {
    const code = character.charCodeAt(0);
    if (isSpace(code, character)) this.#run = 0;
    else if (code >= 0x1100 && WIDE.test(character)) {
      this.#run = 0;
      this.#tenths += WIDE_COST;
    } else this.#addToRun(character.length);
    return this.#tenths;
  }

  #addToRun(units: number): void {
    const before = Math.ceil(this.#run / WORD_UNITS);
    this.#run += units;
    this.#tenths += WORD * (Math.ceil(this.#run / WORD_UNITS) - before);
  }
}

function isSpace(code: number, character: string): boolean {
  return code < 0x80 ? code === 0x20 || (code >= 0x09 && code <= 0x0d) : SPACE.test(character);
}

/** Estimated tokens of a text, see {@link TokenCounter}. A fast approximation of the tokenizer of a model. */
export function estimateTokens(text: string): number {
  return tokenTenths(text) / 10;
}

/** Estimated tokens in tenths. */
export function tokenTenths(text: string): number {
  const counter = new TokenCounter();
  let total = 0;
  for (const character of text) total = counter.add(character);
  return total;
}
