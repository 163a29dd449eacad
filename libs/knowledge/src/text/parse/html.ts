import { load } from 'cheerio';
import { ParseError } from './errors.js';
import { refuseHostileMarkup } from './html-limits.js';
import { child, flatText, type HtmlNode } from './html-node.js';
import { renderMarkdown } from './html-render.js';
import type { ParsedDocument } from './parse.js';

const FIRST_HEADING = /^# (.+)$/m;

/** Readable part of an HTML page as markdown: without scripts, navigation and what is hidden; tables are kept. */
export function parseHtml(html: string): ParsedDocument {
  refuseHostileMarkup(html);
  try {
    return convert(html);
  } catch (error) {
    if (error instanceof ParseError) throw error;
    throw new ParseError('The HTML page cannot be read: simplify its markup or upload it as text', error);
  }
}

function convert(html: string): ParsedDocument {
  const root: HtmlNode = load(html).root()[0]!;
  const page = child(root, 'html');
  const stated = child(child(page, 'head'), 'title');
  const markdown = renderMarkdown(child(page, 'body') ?? root).trim();
  const title = (stated ? flatText(stated) : '') || FIRST_HEADING.exec(markdown)?.[1];
  return title ? { markdown, title } : { markdown };
}
