/** The part of a parsed HTML node that rendering needs. */
export interface HtmlNode {
  type: string;
  name?: string;
  data?: string;
  attribs?: Record<string, string>;
  children?: HtmlNode[];
}

const UNREAD = new Set(
  (
    'head script style noscript template iframe object embed applet svg math canvas audio video map ' +
    'nav aside footer dialog button select textarea input'
  ).split(' '),
);
const INVISIBLE = /(?:^|;)(?:display:none|visibility:hidden)/;

/** Whether the element is invisible, or not part of the content of the page. */
export function isUnread({ name = '', attribs = {} }: HtmlNode): boolean {
  if (UNREAD.has(name) || attribs['hidden'] !== undefined || attribs['aria-hidden'] === 'true') return true;
  const style = attribs['style'];
  return style !== undefined && INVISIBLE.test(style.replace(/\s/g, '').toLowerCase());
}

/** All text below a node, unchanged; elements that {@link isUnread} are omitted. */
export function rawText(node: HtmlNode): string {
  const parts: string[] = [];
  const stack: HtmlNode[] = [node];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.type === 'text') parts.push(at.data ?? '');
    else if (at.name === 'br') parts.push('\n');
    else if (at === node || !isUnread(at)) pushReversed(stack, at.children ?? []);
  }
  return parts.join('');
}

/** Whether there is readable text below a node. */
export function hasText(node: HtmlNode): boolean {
  const stack: HtmlNode[] = [node];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (at.type === 'text') {
      if (/\S/.test(at.data ?? '')) return true;
    } else if (at === node || !isUnread(at)) pushReversed(stack, at.children ?? []);
  }
  return false;
}

function pushReversed(stack: HtmlNode[], nodes: readonly HtmlNode[]): void {
  for (let i = nodes.length - 1; i >= 0; i--) stack.push(nodes[i]!);
}

/** Text below a node on one line. */
export const flatText = (node: HtmlNode): string => rawText(node).split(/\s+/).filter(Boolean).join(' ');

/** First element of a name directly below a node. */
export const child = (node: HtmlNode | undefined, name: string): HtmlNode | undefined =>
  node?.children?.find((one) => one.name === name);
