import { storableText } from '@yuxi/core';
import { ApiError } from './api-error.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor']);

export interface JsonLimits {
  /** Nesting of objects and arrays. Default 32. */
  maxDepth?: number;
  /** Values in the document, without keys. Default 100,000. */
  maxValues?: number;
}

/** A rule that a JSON text breaks, and its position. */
class JsonRefused extends Error {
  constructor(
    message: string,
    /** Path of the value, e.g. `items[3].name`; empty for the document itself. */
    readonly path: string,
    /** Offset in the text, in UTF-16 units. */
    readonly position: number,
    /** The document is well-formed but larger than allowed. */
    readonly tooLarge = false,
  ) {
    super(message);
  }
}

interface Frame {
  /** Keys read so far; null for an array. */
  keys: Set<string> | null;
  key: string;
  index: number;
}

/**
 * Parses a request body as JSON, and refuses what JSON readers interpret differently. Refused keys are duplicate ones,
 * `__proto__` and `constructor`. Refused values are negative zero and numbers outside the range of a double. Lone surrogates,
 * NUL and a byte order mark are refused, too.
 * @throws {ApiError} 400 with field and position; 413 for too many values; 415 for UTF-16
 */
export function parseStrictJson(body: Buffer, limits?: JsonLimits): unknown {
  if (looksLikeUtf16(body)) throw new ApiError('UNSUPPORTED_TYPE', 'The body is UTF-16: send JSON as UTF-8');
  const text = decode(body);
  if (text.charCodeAt(0) === 0xfeff)
    throw new ApiError('INVALID_JSON', 'The body starts with a byte order mark: send it without');
  try {
    new JsonScanner(text, limits).scan();
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error;
    const where = error.path ? `${error.path}: ` : '';
    throw new ApiError(
      error.tooLarge ? 'PAYLOAD_TOO_LARGE' : 'INVALID_JSON',
      `Invalid JSON: ${where}${error.message} (position ${error.position})`,
      { errors: [{ path: error.path, message: error.message }] },
    );
  }
  return JSON.parse(text);
}

function decode(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new ApiError('INVALID_JSON', 'The body is not valid UTF-8', { cause });
  }
}

/** JSON starts with an ASCII character, so UTF-16 has a zero byte or a byte order mark in the first two bytes. */
function looksLikeUtf16([first, second]: Buffer): boolean {
  if (first === undefined || second === undefined) return false;
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || first === 0 || second === 0;
}

/** Reads a JSON text once, in linear time, and refuses everything that `JSON.parse` would silently change or drop. */
class JsonScanner {
  #at = 0;
  #values = 0;
  readonly #stack: Frame[] = [];
  readonly #maxDepth: number;
  readonly #maxValues: number;

  constructor(
    private readonly text: string,
    limits: JsonLimits = {},
  ) {
    this.#maxDepth = limits.maxDepth ?? 32;
    this.#maxValues = limits.maxValues ?? 100_000;
  }

  /** @throws {JsonRefused} */
  scan(): void {
    this.#skipSpace();
    if (this.#at === this.text.length) this.#refuse('the body is empty');
    let open = this.#value();
    for (;;) {
      if (!open && !this.#next()) break;
      open = this.#value();
    }
    this.#skipSpace();
    if (this.#at < this.text.length) this.#refuse('text after the end of the document');
  }

  /** Consumes one value, or the opening bracket of a container. @returns whether a member of the container follows */
  #value(): boolean {
    this.#skipSpace();
    if (++this.#values > this.#maxValues) this.#refuse(`more than ${this.#maxValues} values`, true);
    const char = this.text[this.#at];
    if (char === '{' || char === '[') return this.#open(char);
    if (char === '"') this.#string();
    else if (char === '-' || (char !== undefined && char >= '0' && char <= '9')) this.#number();
    else if (!this.#match(WORD)) this.#refuse(char === undefined ? 'unexpected end' : 'unexpected character');
    return false;
  }

  #open(bracket: '{' | '['): boolean {
    if (this.#stack.length === this.#maxDepth) this.#refuse(`nested deeper than ${this.#maxDepth} levels`);
    this.#at += 1;
    this.#skipSpace();
    if (this.text[this.#at] === (bracket === '{' ? '}' : ']')) {
      this.#at += 1;
      return false;
    }
    this.#stack.push({ keys: bracket === '{' ? new Set() : null, key: '', index: 0 });
    if (bracket === '{') this.#key();
    return true;
  }

  /** Moves past the value that was read. @returns false when the document is complete */
  #next(): boolean {
    for (;;) {
      const frame = this.#stack.at(-1);
      if (!frame) return false;
      this.#skipSpace();
      const char = this.text[this.#at];
      if (char === ',') {
        this.#at += 1;
        frame.index += 1;
        if (frame.keys) this.#key();
        return true;
      }
      if (char !== (frame.keys ? '}' : ']'))
        this.#refuse(char === undefined ? 'unexpected end' : `expected "," or "${frame.keys ? '}' : ']'}"`);
      this.#at += 1;
      this.#stack.pop();
    }
  }

  #key(): void {
    this.#skipSpace();
    if (this.text[this.#at] !== '"') this.#refuse('expected a key in double quotes');
    const frame = this.#stack.at(-1)!;
    const key = this.#string();
    frame.key = key;
    if (frame.keys!.has(key)) this.#refuse('duplicate key');
    if (FORBIDDEN_KEYS.has(key)) this.#refuse('this key is not allowed');
    frame.keys!.add(key);
    this.#skipSpace();
    if (this.text[this.#at] !== ':') this.#refuse('expected ":"');
    this.#at += 1;
  }

  #string(): string {
    const start = this.#at;
    let escaped = false;
    this.#at += 1;
    for (;;) {
      const code = this.text.charCodeAt(this.#at);
      if (Number.isNaN(code)) this.#refuse('string without its closing quote');
      if (code === 0x22) break;
      if (code < 0x20) this.#refuse('control character in a string');
      if (code !== 0x5c) this.#at += 1;
      else if (this.#match(ESCAPE)) escaped = true;
      else this.#refuse('unknown escape in a string');
    }
    this.#at += 1;
    const raw = this.text.slice(start, this.#at);
    if (!escaped) return raw.slice(1, -1);
    const value = JSON.parse(raw) as string;
    if (value.includes('\0')) this.#refuse('NUL character in a string');
    if (storableText(value) !== value) this.#refuse('lone surrogate in a string');
    return value;
  }

  #number(): void {
    const start = this.#at;
    if (!this.#match(NUMBER)) this.#refuse('malformed number');
    const value = Number(this.text.slice(start, this.#at));
    if (!Number.isFinite(value)) this.#refuse('number out of range');
    if (Object.is(value, -0)) this.#refuse('negative zero');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) this.#refuse('integer beyond 2^53 - 1');
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #skipSpace(): void {
    while (SPACE.has(this.text.charCodeAt(this.#at))) this.#at += 1;
  }

  #refuse(message: string, tooLarge = false): never {
    const path = this.#stack
      .map((frame) => (frame.keys ? `.${frame.key.slice(0, 80)}` : `[${frame.index}]`))
      .join('')
      .replace(/^\./, '');
    throw new JsonRefused(message, path, this.#at, tooLarge);
  }
}
