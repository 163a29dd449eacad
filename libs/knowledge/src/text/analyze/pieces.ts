const PIECE = 4096;
const LONE_SURROGATE = /\p{Surrogate}/gu;
const SPACE = /\s/;

/** The text in pieces of at most 4,096 units, cut at white space where there is any, never inside a surrogate pair. */
function* pieces(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = cutBefore(text, start, start + PIECE);
    yield text.slice(start, end);
    start = end;
  }
}

function cutBefore(text: string, start: number, end: number): number {
  if (end >= text.length) return text.length;
  for (let at = end; at > start; at--) if (SPACE.test(text.charAt(at))) return at;
  const pair = isHigh(text.charCodeAt(end - 1)) && isLow(text.charCodeAt(end));
  return pair ? end - 1 : end;
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/**
 * Normalised pieces (NFKC, lower case, well-formed) of a text of any length.
 * Normalising, lower-casing and dictionary segmentation can take quadratic time on one endless word or on a pile of
 * combining marks; a bounded piece keeps the whole linear.
 */
export function* normalisedPieces(text: string): Generator<string> {
  for (const piece of pieces(text)) {
    yield piece.replace(LONE_SURROGATE, ' ').normalize('NFKC').toLowerCase().normalize('NFKC');
  }
}
