/** Name and revision of the vectors of {@link hashedVector}. A change of its rules needs another revision. */
export const HASHED_MODEL = { model: 'hashed-ngram', revision: '1' } as const;

const WORDS = /\p{Script=Han}+|[\p{L}\p{N}]+/gu;
const HAN = /^\p{Script=Han}/u;
const LONGEST_WORD = 64;
/** A whole word is more specific than its parts. */
const WORD_WEIGHT = 1;
const PART_WEIGHT = 0.35;

/**
 * A vector of length 1 from the words of a text and their trigrams (pairs of characters in Chinese). The method is
 * feature hashing (Weinberger et al. 2009). The hash of each feature chooses a dimension and a sign; its weight is the square root of its
 * frequency. Similar spellings have similar vectors, similar meanings do not. A text without words has the zero vector.
 */
export function hashedVector(text: string, dimensions: number): Float32Array {
  const counts = new Map<string, number>();
  for (const [word] of text.normalize('NFKC').toLowerCase().matchAll(WORDS))
    for (const feature of featuresOf(word)) counts.set(feature, (counts.get(feature) ?? 0) + 1);
  const vector = new Float32Array(dimensions);
  for (const [feature, count] of counts) {
    const hash = fnv1a(feature);
    const weight = (feature.startsWith('#') ? WORD_WEIGHT : PART_WEIGHT) * Math.sqrt(count);
    vector[(hash >>> 1) % dimensions]! += hash & 1 ? weight : -weight;
  }
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

function* featuresOf(word: string): Generator<string> {
  if (HAN.test(word)) {
    const signs = Array.from(word);
    for (const sign of signs) yield sign;
    for (let i = 1; i < signs.length; i++) yield `#${signs[i - 1]}${signs[i]}`;
    return;
  }
  const whole = word.slice(0, LONGEST_WORD);
  yield `#${whole}`;
  const framed = `<${whole}>`;
  for (let i = 3; i <= framed.length; i++) yield framed.slice(i - 3, i);
}

/** FNV-1a over UTF-16 units. The final mixing step of MurmurHash3 improves its lowest bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
