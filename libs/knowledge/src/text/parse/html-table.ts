import { flatText, isUnread, type HtmlNode } from './html-node.js';

const STRUCTURE = new Set(['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'article', 'section', 'main', 'pre']);

/** Whether a table only arranges a page: it holds headings, sections or other tables. */
export function isLayout(table: HtmlNode): boolean {
  if (table.attribs?.['role'] === 'presentation') return true;
  const stack = [...(table.children ?? [])];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.name !== undefined && STRUCTURE.has(at.name)) return true;
    for (const one of at.children ?? []) stack.push(one);
  }
  return false;
}

/** Lines of a markdown table; the first row is the header. Empty rows are left out. */
export function tableLines(table: HtmlNode): string[] {
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
