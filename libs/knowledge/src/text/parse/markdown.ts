import { outline, type Section } from '../chunk/sections.js';
import type { ParsedDocument } from './parse.js';

const MAX_FRONT_MATTER = 16 * 1024;
const FIRST_KEY = /^[A-Za-z_][\w-]*[ \t]*:/;
const TITLE = /^title[ \t]*:(.*)$/im;
const TOP_HEADING = /^ {0,3}#(?!#)/;

/** Markdown as it is, without front matter. The title is that of the front matter, else the first `#` heading. */
export function parseMarkdown(text: string): ParsedDocument {
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
