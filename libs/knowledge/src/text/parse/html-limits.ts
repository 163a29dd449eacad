import { ParseError } from './errors.js';

const MAX_LENGTH = 16 * 1024 * 1024;
const MAX_DEPTH = 256;
const MAX_ELEMENTS = 500_000;

/** Elements that may have no end tag. They are not counted for the depth. */
const UNCOUNTED = new Set(
  (
    'area base br col embed hr img input link meta param source track wbr ' +
    'p li dt dd option optgroup tr td th thead tbody tfoot colgroup caption rp rt html head body ' +
    'script style textarea title xmp iframe noembed noframes'
  ).split(' '),
);

/** A parser opens these again in each block that starts before they are closed, which multiplies the elements. */
const FORMATTING = new Set('a b big code em font i nobr s small strike strong tt u'.split(' '));

/**
 * Refuses markup for which a parser needs a deep stack, quadratic time or a multiple of its memory. The limits are 16 Mi characters, 256
 * levels, about 500,000 elements, and the number of attributes of a tag. One pass over the text. Throws `ParseError`.
 */
export function refuseHostileMarkup(html: string): void {
  if (html.length > MAX_LENGTH) throw new ParseError(`The HTML page is longer than ${MAX_LENGTH} characters: split it`);
  let depth = 0;
  let open = 0;
  let elements = 0;
  for (const { name, isEnd } of readTags(html)) {
    const step = isEnd ? -1 : 1;
    if (!UNCOUNTED.has(name)) depth = Math.max(0, depth + step);
    if (FORMATTING.has(name)) open = Math.max(0, open + step);
    elements += 1 + open;
    if (depth > MAX_DEPTH) throw new ParseError(`The HTML page is nested deeper than ${MAX_DEPTH} levels: simplify it`);
    if (elements > MAX_ELEMENTS) throw new ParseError(`The HTML page has more than ${MAX_ELEMENTS} elements: split it`);
  }
}

interface Tag {
  /** Lower case. */
  name: string;
  isEnd: boolean;
}

const MAX_DELIMITERS = 2048;
const NAME = /[a-z][a-z0-9:-]*/iy;
const DELIMITERS = new Set('= \t\n\f/');

/** The content of these elements is not markup. */
const RAW = new Set(['script', 'style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes']);

/** Start and end tags of a page in one pass, without comments. Throws `ParseError` for a tag with very many attributes. */
function* readTags(html: string): Generator<Tag> {
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
