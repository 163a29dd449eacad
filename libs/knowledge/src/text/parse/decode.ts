import { analyse } from 'chardet';
import { UnsupportedTypeError } from './errors.js';

const SAMPLE = 64 * 1024;
const SHORT = 256;
const MAX_CONTROL_SHARE = 0.01;

/**
 * Text of a file: by byte order mark, else UTF-8, else by a guess of the encoding; a short text of pairs of high bytes
 * counts as GB18030. Throws `UnsupportedTypeError` where the bytes are no text: NUL characters, many control
 * characters or no encoding that fits.
 */
export function decodeText(content: Uint8Array): string {
  const text = byMark(content) ?? strictly('utf-8', content) ?? byGuess(content);
  refuseBinary(text);
  return text;
}

function byMark(content: Uint8Array): string | undefined {
  if (!hasUtf16Mark(content)) return undefined;
  const text = strictly(content[0] === 0xff ? 'utf-16le' : 'utf-16be', content);
  if (text !== undefined) return text;
  throw new UnsupportedTypeError('The content starts with the mark of UTF-16 and is not UTF-16: save it as UTF-8');
}

/** Whether the bytes start with the byte order mark of UTF-16, which audio formats share. */
export function hasUtf16Mark([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

function strictly(encoding: string, content: Uint8Array): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(content);
  } catch {
    return undefined;
  }
}

function byGuess(content: Uint8Array): string {
  const candidates = analyse(content.subarray(0, SAMPLE)).map(({ name }) => name as string);
  if (content.length <= SHORT && hasOnlyPairsOfHighBytes(content)) candidates.unshift('gb18030');
  for (const name of candidates) {
    const text = strictly(name, content);
    if (text !== undefined) return text;
  }
  throw new UnsupportedTypeError('The content is in no known character encoding: save it as UTF-8');
}

/** Both bytes of the common Chinese characters are high; in a western text a high byte stands among low ones. */
function hasOnlyPairsOfHighBytes(content: Uint8Array): boolean {
  let run = 0;
  for (const byte of content) {
    if (byte >= 0xa1) run++;
    else if (byte >= 0x80 || run % 2 === 1) return false;
    else run = 0;
  }
  return run % 2 === 0;
}

function refuseBinary(text: string): void {
  const nul = text.indexOf('\0');
  if (nul !== -1) throw new UnsupportedTypeError(`The content has a NUL character at ${nul}: it is not text`);
  let controls = 0;
  for (let i = 0; i < text.length; i++) if (isControl(text.charCodeAt(i))) controls++;
  if (controls > text.length * MAX_CONTROL_SHARE) {
    throw new UnsupportedTypeError(`The content has ${controls} control characters: it is not text`);
  }
}

const isControl = (code: number): boolean => code < 0x20 && !(code >= 0x09 && code <= 0x0d) && code !== 0x1b;
