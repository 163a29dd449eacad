import { decodeText } from './decode.js';
import type { FileType } from './detect.js';
import { ParseError } from './errors.js';
import { parseMarkdown } from './markdown.js';

/** A document as markdown; offsets of chunks count in it. */
export interface ParsedDocument {
  /** Well-formed, without NUL, lines end in `\n`. */
  markdown: string;
  /** Title that the document itself states, if it does. */
  title?: string;
}

/**
 * Turns the bytes of a file into markdown. Throws `UnsupportedTypeError` if they are no text and `ParseError` if the
 * document cannot be read: nested too deeply, too large, or without any text.
 */
export async function parse(type: FileType, content: Uint8Array): Promise<ParsedDocument> {
  const text = decodeText(content).replace(/\r\n?/g, '\n');
  const document = wellFormed(await read(type, text));
  if (document.markdown.trim() === '') throw new ParseError(`The ${type} document has no text to read`);
  return document;
}

async function read(type: FileType, text: string): Promise<ParsedDocument> {
  if (type === 'html') {
    // 25 MB of memory that a replica without HTML documents does not need.
    const { parseHtml } = await import('./html.js');
    return parseHtml(text);
  }
  return type === 'md' ? parseMarkdown(text) : { markdown: text };
}

function wellFormed({ markdown, title }: ParsedDocument): ParsedDocument {
  const fixed = storable(markdown);
  return title === undefined ? { markdown: fixed } : { markdown: fixed, title: storable(title) };
}

/** Neither NUL nor half a surrogate pair can be stored as UTF-8 text. */
const storable = (text: string): string => text.replace(/[\0\p{Surrogate}]/gu, '\uFFFD');
