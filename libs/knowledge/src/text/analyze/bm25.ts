/** Parameters of BM25: `k1` bends the term frequency, `b` is the share of length normalisation. */
export const BM25 = { k1: 1.2, b: 0.75 } as const;

/** Rarity of a term that `df` of `n` documents contain; never negative. */
export function inverseDocumentFrequency(df: number, n: number): number {
  return Math.log(1 + (n - df + 0.5) / (df + 0.5));
}

/**
 * Score that one query term adds to one document.
 * @param tf how often the term stands in the document
 * @param dl terms in the document
 * @param avgdl mean of `dl` over all documents
 */
export function bm25Weight(idf: number, tf: number, dl: number, avgdl: number): number {
  const { k1, b } = BM25;
  return (idf * tf * (k1 + 1)) / (tf + k1 * (1 - b + (b * dl) / avgdl));
}
