import { ParseError } from './errors.js';

export interface Tag {
  /** Lower case. */
  name: string;
  isEnd: boolean;
}

const MAX_DELIMITERS = 2048;
const NAME = /[a-z][a-z0-9:-]*/iy;
const DELIMITERS = new Set('= \t\n\f/');

/** What stands in these elements is no markup. */
const RAW = new Set(['script', 'style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes']);

/** Start and end tags of a page in one pass, without comments. Throws `ParseError` on a tag of very many attributes. */
export function* readTags(html: string): Generator<Tag> {
  for (let at = html.indexOf('<'); at !== -1; at = html.indexOf('<', at)) {
    at++;
    if (html.startsWith('!--', at)) {
      at = after(html, '-->', at + 1);
      continue;
    }
    const isEnd = html.charAt(at) === '/';
    NAME.lastIndex = isEnd ? at + 1 : at;
    const name = NAME.exec(html)?.[0].toLowerCase();
    if (name === undefined) continue;
    at = tagEnd(html, at + name.length);
    if (RAW.has(name) && !isEnd) at = afterRaw(html, name, at);
    yield { name, isEnd };
  }
}

function tagEnd(html: string, from: number): number {
  let delimiters = 0;
  for (let at = from; at < html.length; at++) {
    const character = html.charAt(at);
    if (character === '>') return at + 1;
    if (DELIMITERS.has(character)) delimiters++;
    if ((character === '"' || character === "'") && html.charAt(at - 1) === '=')
      at = after(html, character, at + 1) - 1;
    if (delimiters > MAX_DELIMITERS)
      throw new ParseError('A tag of the HTML page has too many attributes: simplify it');
  }
  return html.length;
}

function after(html: string, mark: string, from: number): number {
  const at = html.indexOf(mark, from);
  return at === -1 ? html.length : at + mark.length;
}

function afterRaw(html: string, name: string, from: number): number {
  const end = new RegExp(`</${name}`, 'gi');
  end.lastIndex = from;
  return end.exec(html)?.index ?? html.length;
}
