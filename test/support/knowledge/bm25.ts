const K1 = 1.2;
const B = 0.75;

/** Rarity of a term that `df` of `n` documents contain; never negative. */
export function inverseDocumentFrequency(df: number, n: number): number {
  return Math.log(1 + (n - df + 0.5) / (df + 0.5));
}

/**
 * BM25 score of one term of a question for one document, computed independently of the SQL of the product.
 * @param tf number of occurrences of the term in the document
 * @param dl terms in the document
 * @param avgdl mean of `dl` over all documents
 */
export function bm25Weight(idf: number, tf: number, dl: number, avgdl: number): number {
  return (idf * tf * (K1 + 1)) / (tf + K1 * (1 - B + (B * dl) / avgdl));
}
