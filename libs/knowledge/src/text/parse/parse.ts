import { storableText } from '@yuxi/core';

import { outline, type Section } from '../chunk/sections.js';
import { decodeText } from './decode.js';
import type { FileType } from './detect.js';
import { ParseError } from './errors.js';

/** A document as markdown. Offsets of chunks refer to this text. */
export interface ParsedDocument {
  /** Well-formed, without NUL, lines end in `\n`. */
  markdown: string;
  /** Title in the document, if it has one. */
  title?: string;
}

/**
 * Converts the bytes of a file to markdown. Throws `UnsupportedTypeError` if they are not text. Throws `ParseError` if the document is nested
 * too deeply, too large, or has no text.
 */
export async function parse(type: FileType, content: Uint8Array): Promise<ParsedDocument> {
  const text = decodeText(content).replace(/\r\n?/g, '\n');
  const document = wellFormed(await read(type, text));
  if (document.markdown.trim() === '') throw new ParseError(`The ${type} document has no text to read`);
  return document;
}

async function read(type: FileType, text: string): Promise<ParsedDocument> {
  if (type === 'html') {
    // The parser needs 25 MB of memory, so it is loaded with the first HTML document.
    const { parseHtml } = await import('./html.js');
    return parseHtml(text);
  }
  return type === 'md' ? parseMarkdown(text) : { markdown: text };
}

function wellFormed({ markdown, title }: ParsedDocument): ParsedDocument {
  const fixed = storableText(markdown);
  return title === undefined ? { markdown: fixed } : { markdown: fixed, title: storableText(title) };
}

const MAX_FRONT_MATTER = 16 * 1024;
const FIRST_KEY = /^[A-Za-z_][\w-]*[ \t]*:/;
const TITLE = /^title[ \t]*:(.*)$/im;
const TOP_HEADING = /^ {0,3}#(?!#)/;

/** Markdown without its front matter. The title is that of the front matter, else the first `#` heading. */
function parseMarkdown(text: string): ParsedDocument {
  const { front, body } = separate(text);
  const title = unquoted(TITLE.exec(front)?.[1] ?? '') || topHeading(body);
  return title ? { markdown: body, title } : { markdown: body };
}

function topHeading(body: string): string | undefined {
  const isTop = ({ start }: Section): boolean => TOP_HEADING.test(body.slice(start, start + 8));
  return outline(body).sections.find(isTop)?.headingPath[0];
}

function separate(text: string): { front: string; body: string } {
  const whole = { front: '', body: text };
  if (!text.startsWith('---\n')) return whole;
  const end = text.slice(0, MAX_FRONT_MATTER).indexOf('\n---\n', 3);
  const front = text.slice(4, Math.max(4, end + 1));
  if (end === -1 || !FIRST_KEY.test(front)) return whole;
  return { front, body: text.slice(end + 5).replace(/^\n+/, '') };
}

function unquoted(value: string): string {
  const text = value.trim();
  const quote = text.charAt(0);
  const quoted = text.length > 1 && (quote === '"' || quote === "'") && text.endsWith(quote);
  return quoted ? text.slice(1, -1).trim() : text;
}
