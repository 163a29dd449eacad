import type { Parameters } from '../common/parameters.js';
import { BM25 } from '../text/index.js';
import type { Corpus } from './corpora.js';
import { unlessHidden } from './corpus.sql.js';

// Constants reach SQL as float8: as numeric they would make the whole sum numeric, several times slower. The formula is turned so that each
// hit costs few operations: there may be tens of thousands.
const { k1, b } = BM25;

/** Terms of a question and how often it has each. */
export type Words = ReadonlyMap<string, number>;

/**
 * CTEs of BM25 over the postings of one knowledge base: `weights (term, df, weight)`, `scored (chunk_id, bm25)` and `best (score)`, the
 * highest score that a chunk made for the question could reach.
 *
 * Each term is counted first, unless that was done for an earlier search, then read, both by the index alone: `OFFSET 0` leaves a planner
 * without statistics no other way. Carrying the hits along once, with their terms, would take longer than reading them twice. Indexing
 * since the chunks were counted may have made `df` the greater number.
 */
export function wordCtes(params: Parameters, words: Words, corpus: Corpus): string {
  const { id, chunks, tokens, frequencies } = corpus;
  const terms = [...words.keys()];
  const asked = [
    `${params.add(terms)}::text[]`,
    `${params.add([...words.values()])}::float8[]`,
    `${params.add(terms.map((term) => frequencies.get(term) ?? null))}::float8[]`,
  ];
  const average = `${params.add(Math.max(1, tokens / Math.max(1, chunks)))}::float8`;
  const base = `${params.add(id)}::int`;
  const visible = unlessHidden(params, corpus);
  return `weights AS MATERIALIZED (
  SELECT q.term, found.df, ${k1 + 1}::float8 * q.times
    * ln((greatest(${params.add(chunks)}::float8, found.df) + 1) / (found.df + 0.5)) AS weight
  FROM unnest(${asked.join(', ')}) AS q (term, times, df), LATERAL (
    SELECT coalesce(q.df, (SELECT count(*)::float8 FROM postings WHERE kb_id = ${base} AND term = q.term${visible})) AS df OFFSET 0) found),
best AS MATERIALIZED (SELECT coalesce(sum(weight), 0) AS score FROM weights),
scored AS (
  SELECT chunk_id,
    sum(weight / (1 + (${k1 * (1 - b)}::float8 + ${k1 * b}::float8 / ${average} * dl) / tf)) AS bm25
  FROM weights w, LATERAL (
    SELECT chunk_id, tf, dl FROM postings WHERE kb_id = ${base} AND term = w.term${visible} OFFSET 0) hit
  GROUP BY chunk_id)`;
}
