import { BM25 } from '../text/index.js';
import type { Parameters } from '../common/parameters.js';

// Constants reach SQL as float8: as numeric they would make the whole sum numeric, several times slower.
const { k1, b } = BM25;

/** The words of a question, and what they are looked for in. */
export interface WordQuery {
  kbId: number;
  /** Terms and how often the question has each. */
  terms: readonly (readonly [term: string, times: number])[];
  /** Chunks in the knowledge base, and terms in all of them. */
  chunks: number;
  tokens: number;
}

/**
 * CTEs of BM25 over the postings of one knowledge base: `scored (chunk_id, bm25)` and `best (score)`, the highest score that a chunk made
 * for the question could reach.
 *
 * The hits are taken once, by the index, and everything after them works on that set: there is no other order for a
 * planner without statistics to choose. Indexing since the chunks were counted may have made `df` the greater number.
 */
export function wordCtes(params: Parameters, { kbId, terms, chunks, tokens }: WordQuery): string {
  const words = `${params.add(terms.map(([term]) => term))}::text[]`;
  const times = `${params.add(terms.map(([, count]) => count))}::float8[]`;
  const average = `${params.add(Math.max(1, tokens / Math.max(1, chunks)))}::float8`;
  return `hits AS MATERIALIZED (
  SELECT term, chunk_id, tf, dl FROM postings WHERE kb_id = ${params.add(kbId)}::int AND term = ANY(${words})),
found AS (SELECT term, count(*)::float8 AS df FROM hits GROUP BY term),
weights AS MATERIALIZED (
  SELECT q.term, q.times * ln((greatest(${params.add(chunks)}::float8, df) + 1) / (coalesce(df, 0) + 0.5)) AS weight
  FROM unnest(${words}, ${times}) AS q (term, times) LEFT JOIN found USING (term)),
best AS MATERIALIZED (SELECT coalesce(sum(weight), 0) * ${k1 + 1}::float8 AS score FROM weights),
scored AS MATERIALIZED (
  SELECT chunk_id, sum(weight * tf * ${k1 + 1}::float8
    / (tf + ${k1 * (1 - b)}::float8 + ${k1 * b}::float8 / ${average} * dl)) AS bm25
  FROM hits JOIN weights USING (term) GROUP BY chunk_id)`;
}
