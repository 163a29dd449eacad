import { setImmediate } from 'node:timers/promises';
import { analyse } from 'chardet';
import { UnsupportedTypeError } from './errors.js';

const SAMPLE = 64 * 1024;
/** Bytes after which the event loop runs other work. */
const SLICE = 256 * 1024;
const SHORT = 256;
const MAX_CONTROL_SHARE = 0.01;

/** A content that is read in parts, to save memory. */
export interface ContentParts {
  /** Bytes. */
  readonly size: number;
  /** Each call starts at the beginning. The first part has at least 64 KiB, or the whole content. */
  parts(): AsyncIterable<Uint8Array>;
}

/**
 * Text of a file. The encoding is that of the byte order mark, else UTF-8, else a detected one. A short text of pairs of high bytes is read as
 * GB18030. Throws `UnsupportedTypeError` for NUL, many control characters, or an unknown encoding.
 */
export function decodeText(content: Uint8Array): string {
  for (const encoding of encodingsOf(content, content.length)) {
    const text = attempt(() => strict(encoding).decode(content));
    if (text === undefined) continue;
    new TextCheck().add(text).end();
    return text;
  }
  throw noEncoding(content);
}

/**
 * Whether {@link decodeText} would return more than white space. Throws the same errors. The event loop runs other work in between.
 */
export async function hasText(content: ContentParts): Promise<boolean> {
  const head = await headOf(content);
  for (const encoding of encodingsOf(head, content.size)) {
    const check = await checkAs(encoding, content);
    if (check) return !check.end().isBlank;
  }
  throw noEncoding(head);
}

/** The first part; empty if there is none. */
export async function headOf(content: ContentParts): Promise<Uint8Array> {
  for await (const part of content.parts()) return part;
  return new Uint8Array();
}

/** @returns undefined when the content does not have this encoding */
async function checkAs(encoding: string, content: ContentParts): Promise<TextCheck | undefined> {
  const check = new TextCheck();
  const decoder = attempt(() => strict(encoding));
  if (!decoder) return undefined;
  for await (const part of content.parts())
    for (let start = 0; start < part.length; start += SLICE) {
      const text = attempt(() => decoder.decode(part.subarray(start, start + SLICE), { stream: true }));
      if (text === undefined) return undefined;
      check.add(text);
      await setImmediate();
    }
  const rest = attempt(() => decoder.decode());
  return rest === undefined ? undefined : check.add(rest);
}

const strict = (encoding: string) => new TextDecoder(encoding, { fatal: true });

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Possible encodings, the most likely one first. */
function* encodingsOf(head: Uint8Array, size: number): Generator<string> {
  if (hasUtf16Mark(head)) {
    yield head[0] === 0xff ? 'utf-16le' : 'utf-16be';
    return;
  }
  yield 'utf-8';
  if (size <= SHORT && hasOnlyPairsOfHighBytes(head)) yield 'gb18030';
  for (const { name } of analyse(head.subarray(0, SAMPLE))) yield name;
}

function noEncoding(head: Uint8Array): UnsupportedTypeError {
  return new UnsupportedTypeError(
    hasUtf16Mark(head)
      ? 'The content has the byte order mark of UTF-16 but is not UTF-16: save it as UTF-8'
      : 'The character encoding of the content is unknown: save it as UTF-8',
  );
}

/** Whether the bytes start with the byte order mark of UTF-16. Some audio formats start with the same bytes. */
export function hasUtf16Mark([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

/** Both bytes of common Chinese characters are high. In western text single high bytes are between low ones. */
function hasOnlyPairsOfHighBytes(content: Uint8Array): boolean {
  let run = 0;
  for (const byte of content) {
    if (byte >= 0xa1) run++;
    else if (byte >= 0x80 || run % 2 === 1) return false;
    else run = 0;
  }
  return run % 2 === 0;
}

/** Checks a text piece by piece. */
class TextCheck {
  isBlank = true;
  #length = 0;
  #controls = 0;
  #nul = -1;

  add(text: string): this {
    if (this.#nul === -1) {
      const nul = text.indexOf('\0');
      if (nul !== -1) this.#nul = this.#length + nul;
    }
    for (let i = 0; i < text.length; i++) if (isControl(text.charCodeAt(i))) this.#controls++;
    this.#length += text.length;
    this.isBlank &&= text.trim() === '';
    return this;
  }

  /** @throws {UnsupportedTypeError} when it is not text */
  end(): this {
    if (this.#nul !== -1)
      throw new UnsupportedTypeError(`The content has a NUL character at ${this.#nul}: it is not text`);
    if (this.#controls > this.#length * MAX_CONTROL_SHARE)
      throw new UnsupportedTypeError(`The content has ${this.#controls} control characters: it is not text`);
    return this;
  }
}

/** Whether a character is a control character other than white space and ESC. */
export const isControl = (code: number): boolean => code < 0x20 && !(code >= 0x09 && code <= 0x0d) && code !== 0x1b;
