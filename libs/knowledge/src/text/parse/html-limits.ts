import { ParseError } from './errors.js';
import { readTags } from './html-tags.js';

const MAX_LENGTH = 16 * 1024 * 1024;
const MAX_DEPTH = 256;
const MAX_ELEMENTS = 500_000;

/** Elements without an end tag, or whose end tag may be left out: they do not show how deep a page is nested. */
const UNCOUNTED = new Set(
  (
    'area base br col embed hr img input link meta param source track wbr ' +
    'p li dt dd option optgroup tr td th thead tbody tfoot colgroup caption rp rt html head body ' +
    'script style textarea title xmp iframe noembed noframes'
  ).split(' '),
);

/** A parser opens these again in every block that begins before they are closed, which multiplies the elements. */
const FORMATTING = new Set('a b big code em font i nobr s small strike strong tt u'.split(' '));

/**
 * Refuses markup that would cost a parser a deep stack, quadratic time or a multiple of its memory: more than 16 Mi
 * characters, 256 levels, about 500,000 elements or a tag with very many attributes. One pass over the text; throws
 * `ParseError`.
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
