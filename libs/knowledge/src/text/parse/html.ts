import { load } from 'cheerio';

import { ParseError } from './errors.js';
import { refuseHostileMarkup } from './html-limits.js';
import { child, flatText, hasText, type HtmlNode, isUnread, rawText } from './html-node.js';
import { MarkdownWriter } from './markdown-writer.js';
import type { ParsedDocument } from './parse.js';

const FIRST_HEADING = /^# (.+)$/m;

/** Readable part of an HTML page as markdown, with tables, without scripts, navigation and hidden elements. */
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

const MAX_DEPTH = 600;
const MAX_LINK = 512;

const BLOCKS = new Set(
  (
    'html body main article section header div p address figure figcaption details summary fieldset legend form center ' +
    'ul ol dl dt dd table thead tbody tfoot tr td th caption hgroup search menu'
  ).split(' '),
);

/** Markdown of a parsed page: headings, paragraphs, lists, tables, code blocks, quotes and web links. Inline formatting is dropped. */
function renderMarkdown(root: HtmlNode): string {
  const renderer = new Renderer();
  renderer.children(root, 0);
  return renderer.out.toString();
}

class Renderer {
  readonly out = new MarkdownWriter();
  #listDepth = 0;

  children(node: HtmlNode, depth: number): void {
    if (depth > MAX_DEPTH) throw new ParseError(`The HTML page is nested deeper than ${MAX_DEPTH} levels: simplify it`);
    for (const one of node.children ?? []) {
      if (one.type === 'text') this.out.inline(one.data ?? '');
      else if (one.name !== undefined && !isUnread(one)) this.#element(one, one.name, depth + 1);
    }
  }

  #element(node: HtmlNode, name: string, depth: number): void {
    if (/^h[1-6]$/.test(name)) this.#heading(node, Number(name.charAt(1)));
    else if (name === 'br') this.out.break(1);
    else if (name === 'hr') this.out.break(2);
    else if (name === 'img') this.out.inline(node.attribs?.['alt'] ?? '');
    else if (name === 'pre') this.#code(node);
    else if (name === 'a') this.#link(node, depth);
    else if (name === 'blockquote') this.#quote(node, depth);
    else if (name === 'ul' || name === 'ol' || name === 'menu') this.#list(node, name === 'ol', depth);
    else if (name === 'li') this.#item(node, '- ', depth);
    else if (name === 'table' && !isLayout(node)) this.#table(node);
    else if (BLOCKS.has(name)) this.#block(node, depth);
    else this.children(node, depth);
  }

  #block(node: HtmlNode, depth: number): void {
    this.out.break(2);
    this.children(node, depth);
    this.out.break(2);
  }

  #heading(node: HtmlNode, level: number): void {
    const text = flatText(node);
    if (text === '') return;
    this.out.break(2);
    this.out.raw(`${'#'.repeat(level)} ${text}`);
    this.out.break(2);
  }

  #code(node: HtmlNode): void {
    const code = rawText(node).replace(/^\n/, '').trimEnd();
    if (code === '') return;
    const longest = Math.max(2, ...(code.match(/`+/g) ?? []).slice(0, 1000).map((run) => run.length));
    const fence = '`'.repeat(Math.min(longest + 1, 100));
    const language = /(?:^|\s)lang(?:uage)?-([\w+#-]{1,30})/.exec(child(node, 'code')?.attribs?.['class'] ?? '')?.[1];
    this.out.lines([`${fence}${language ?? ''}`, ...code.split('\n'), fence]);
    this.out.break(2);
  }

  #link(node: HtmlNode, depth: number): void {
    const href = node.attribs?.['href']?.trim() ?? '';
    const isWeb = href.length <= MAX_LINK && /^https?:\/\/[^\s()<>]+$/i.test(href);
    if (!isWeb || !hasText(node)) this.children(node, depth);
    else this.out.raw(`[${flatText(node)}](${href})`);
  }

  #quote(node: HtmlNode, depth: number): void {
    if (!hasText(node)) return;
    this.out.break(2);
    this.out.marker('> ');
    this.out.indent('> ');
    this.children(node, depth);
    this.out.outdent();
    this.out.break(2);
  }

  #list(node: HtmlNode, isOrdered: boolean, depth: number): void {
    const newlines = this.#listDepth > 0 ? 1 : 2;
    this.out.break(newlines);
    this.#listDepth++;
    let number = Number.parseInt(node.attribs?.['start'] ?? '1', 10) || 1;
    for (const one of node.children ?? []) {
      if (one.type === 'text') this.out.inline(one.data ?? '');
      else if (one.name === 'li' && !isUnread(one)) this.#item(one, isOrdered ? `${number++}. ` : '- ', depth + 1);
      else if (one.name !== undefined && !isUnread(one)) this.#element(one, one.name, depth + 1);
    }
    this.#listDepth--;
    this.out.break(newlines);
  }

  #item(node: HtmlNode, marker: string, depth: number): void {
    if (!hasText(node)) return;
    this.out.break(1);
    this.out.marker(marker);
    this.out.indent(' '.repeat(marker.length));
    this.children(node, depth);
    this.out.outdent();
    this.out.break(1);
  }

  #table(node: HtmlNode): void {
    const caption = child(node, 'caption');
    if (caption && hasText(caption)) this.out.lines([flatText(caption)]);
    const lines = tableLines(node);
    if (lines.length > 0) this.out.lines(lines);
    this.out.break(2);
  }
}

const STRUCTURE = new Set(['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'article', 'section', 'main', 'pre']);

/** Whether a table serves the layout of a page: it contains headings, sections or other tables. */
function isLayout(table: HtmlNode): boolean {
  if (table.attribs?.['role'] === 'presentation') return true;
  const stack = [...(table.children ?? [])];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.name !== undefined && STRUCTURE.has(at.name)) return true;
    for (const one of at.children ?? []) stack.push(one);
  }
  return false;
}

/** Lines of a markdown table; the first row is the header. Empty rows are omitted. */
function tableLines(table: HtmlNode): string[] {
  const lines: string[] = [];
  for (const row of rows(table)) {
    const cells = (row.children ?? []).filter(({ name }) => name === 'td' || name === 'th').map(cellText);
    if (cells.every((text) => text === '')) continue;
    lines.push(line(cells));
    if (lines.length === 1) lines.push(line(cells.map(() => '---')));
  }
  return lines;
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const cellText = (cell: HtmlNode): string => (isUnread(cell) ? '' : flatText(cell).replaceAll('|', '\\|'));

function* rows(node: HtmlNode): Generator<HtmlNode> {
  for (const one of node.children ?? []) {
    if (isUnread(one)) continue;
    if (one.name === 'tr') yield one;
    else if (one.name === 'thead' || one.name === 'tbody' || one.name === 'tfoot') yield* rows(one);
  }
}
