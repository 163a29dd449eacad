import { integerOption } from '@yuxi/core';

import { Parameters } from '../common/parameters.js';
import type { Actor } from '../databases/access.js';
import { type Corpus, corpusCheck, exceptHidden, withActor } from './corpora.js';
import type { SearchPlan } from './search-options.js';

/** Flattens the reciprocal ranks, so that the first few do not decide alone (Cormack et al. 2009). */
const RRF_K = 60;
/** Parameters of BM25: `k1` limits the effect of the term frequency, `b` is the share of length normalisation. */
const BM25 = { k1: 1.2, b: 0.75 } as const;

const HIT = `c.content, top.score, top.bm25_score, top.vector_score, f.filename AS source, c.chunk_id, f.file_id, c.chunk_index,
  c.heading_path, c.start_offset AS start, c.end_offset AS "end"`;
const HITS = `top JOIN chunks c ON c.id = top.chunk_id JOIN files f ON f.id = c.file_id`;

/** Terms of a question, each with its number of occurrences. */
export type QuestionTerms = ReadonlyMap<string, number>;

export interface Question {
  actor: Actor;
  corpus: Corpus;
  text: string;
  terms: QuestionTerms;
}

/** The vector of a question, and the generation of vectors that it is compared with. */
export interface VectorQuery {
  kbId: number;
  generation: number;
  dimensions: number;
  /** In the text format of pgvector, of length 1. */
  vector: string;
}

/**
 * Its rows are hits, best first. One row of nulls means that nothing was found. No row at all means that the corpus has changed, or that the
 * actor may not search it.
 */
export interface SearchStatement {
  text: string;
  params: readonly unknown[];
}

/** BM25 alone. `score` is the share of the highest possible one. */
export function keywordStatement(question: Question, { topK, threshold }: SearchPlan): SearchStatement {
  const params = withActor(new Parameters(), question.actor);
  // Without a threshold there is no comparison: a question may match tens of thousands of chunks.
  const enough = threshold > 0 ? `WHERE bm25 >= ${params.add(threshold)}::float8 * (SELECT score FROM best)` : '';
  const ctes = [
    bm25Ctes(params, question.terms, question.corpus),
    `top AS (
  SELECT chunk_id, bm25 / (SELECT score FROM best) AS score, bm25 AS bm25_score, NULL::float8 AS vector_score FROM scored
  ${enough} ORDER BY bm25 DESC, chunk_id LIMIT ${params.add(topK)}::int)`,
  ];
  return hitsStatement(params, question.corpus, ctes, frequenciesColumn(question));
}

/** The nearest vectors. `score` is the cosine, 0 for negative ones. */
export function vectorStatement(
  question: Question,
  vector: VectorQuery,
  { topK, threshold }: SearchPlan,
): SearchStatement {
  const params = withActor(new Parameters(), question.actor);
  const ctes = [
    nearCte(params, vector, question.corpus, topK),
    `top AS (
  SELECT chunk_id, greatest(cosine, 0) AS score, NULL::float8 AS bm25_score, cosine AS vector_score FROM near
  WHERE greatest(cosine, 0) >= ${params.add(threshold)}::float8)`,
  ];
  return hitsStatement(params, question.corpus, ctes);
}

/**
 * The best chunks by BM25 and the nearest ones are candidates. Each candidate gets its exact score of both kinds, whichever kind found it.
 * `weighted` is the weighted mean of BM25 share and cosine. `rrf` is the weighted mean of the reciprocal ranks, 1 for the first by both.
 */
export function hybridStatement(question: Question, vector: VectorQuery, plan: SearchPlan): SearchStatement {
  const { topK, threshold, candidates, fusion } = plan;
  const params = withActor(new Parameters(), question.actor);
  const total = plan.vectorWeight + plan.wordWeight;
  const [byVector, byWord] = [plan.vectorWeight, plan.wordWeight].map(
    (weight) => `${params.add(total > 0 ? weight / total : 0.5)}::float8`,
  );
  const limit = `${params.add(candidates)}::int`;
  const score =
    fusion === 'weighted'
      ? `${byVector} * greatest(cosine, 0) + ${byWord} * share`
      : `${RRF_K + 1}::float8 * (coalesce(${byVector} / (${RRF_K} + near_rank), 0) + coalesce(${byWord} / (${RRF_K} + word_rank), 0))`;
  const ctes = [
    bm25Ctes(params, question.terms, question.corpus),
    `worded AS (
  SELECT chunk_id, row_number() OVER (ORDER BY bm25 DESC, chunk_id) AS word_rank FROM scored
  ORDER BY bm25 DESC, chunk_id LIMIT ${limit})`,
    nearCte(params, vector, question.corpus, candidates),
    `ranked AS (SELECT chunk_id, row_number() OVER (ORDER BY cosine DESC, chunk_id) AS near_rank FROM near)`,
    `fused AS (
  SELECT chunk_id, coalesce(bm25, 0) AS bm25, CASE WHEN best.score > 0 THEN coalesce(bm25, 0) / best.score ELSE 0 END AS share,
    -(${distanceSql(vector, 'v.embedding', params.add(vector.vector))}) AS cosine, word_rank, near_rank
  FROM worded FULL JOIN ranked USING (chunk_id) LEFT JOIN scored USING (chunk_id)
    JOIN chunk_vectors v USING (chunk_id), best
  WHERE ${ofGeneration(vector, 'v.')})`,
    `judged AS (SELECT chunk_id, ${score} AS score, bm25 AS bm25_score, cosine AS vector_score FROM fused)`,
    `top AS (
  SELECT * FROM judged WHERE score >= ${params.add(threshold)}::float8
  ORDER BY score DESC, chunk_id LIMIT ${params.add(topK)}::int)`,
  ];
  return hitsStatement(params, question.corpus, ctes, frequenciesColumn(question));
}

/**
 * CTEs of BM25 over the postings of one knowledge base: `weights (term, df, weight)`, `scored (chunk_id, bm25)` and `best (score)`, the
 * highest score that the question allows.
 *
 * A term without a cached frequency is counted first. Counting and reading both use only the index: `OFFSET 0` prevents other plans when
 * statistics are missing. Reading the hits twice is faster than materializing them with their terms. `df` may exceed the number of chunks,
 * because indexing may have added chunks after they were counted.
 */
function bm25Ctes(params: Parameters, questionTerms: QuestionTerms, corpus: Corpus): string {
  // The constants reach SQL as float8: numeric ones make the whole sum numeric, several times slower. The formula is arranged so that each
  // hit needs few operations, because there may be tens of thousands.
  const { k1, b } = BM25;
  const { id, chunks, tokens, frequencies } = corpus;
  const terms = [...questionTerms.keys()];
  const asked = [
    `${params.add(terms)}::text[]`,
    `${params.add([...questionTerms.values()])}::float8[]`,
    `${params.add(terms.map((term) => frequencies.get(term) ?? null))}::float8[]`,
  ];
  const average = `${params.add(Math.max(1, tokens / Math.max(1, chunks)))}::float8`;
  const base = `${params.add(id)}::int`;
  const visible = exceptHidden(params, corpus);
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

/** CTE `near (chunk_id, cosine)`: the nearest chunks. */
function nearCte(params: Parameters, query: VectorQuery, corpus: Corpus, limit: number): string {
  const distance = distanceSql(query, 'embedding', params.add(query.vector));
  return `near AS MATERIALIZED (
  SELECT chunk_id, -(${distance}) AS cosine FROM chunk_vectors
  WHERE ${ofGeneration(query)}${exceptHidden(params, corpus)} ORDER BY ${distance} LIMIT ${literal('limit', limit)})`;
}

/**
 * Distance of two vectors: minus the cosine, because all have length 1. The numbers are literals, so that the planner recognizes the
 * partial index of this generation (see `VectorIndexes`).
 */
function distanceSql({ dimensions }: Pick<VectorQuery, 'dimensions'>, column: string, question: string): string {
  const type = `halfvec(${literal('dimensions', dimensions)})`;
  return `${column}::${type} <#> ${question}::${type}`;
}

/** Condition on `chunk_vectors`. @param alias of the table, with its dot */
export function ofGeneration({ kbId, generation }: Pick<VectorQuery, 'kbId' | 'generation'>, alias = ''): string {
  return `${alias}kb_id = ${literal('kbId', kbId)} AND ${alias}generation = ${literal('generation', generation)}`;
}

/** Only integers may become part of the text of a statement. */
function literal(name: string, value: number): number {
  return integerOption(name, value, { min: 0 });
}

/** Frequencies of terms that the next search can reuse. */
function frequenciesColumn({ terms, corpus }: Question): string {
  const isKnown = [...terms.keys()].every((term) => corpus.frequencies.has(term));
  return isKnown ? 'NULL' : '(SELECT jsonb_object_agg(term, df) FROM weights)';
}

/** @param ctes the last of them is `top` @param counted an expression, returned as a column of each row */
function hitsStatement(params: Parameters, corpus: Corpus, ctes: readonly string[], counted = 'NULL'): SearchStatement {
  const text = `WITH ${ctes.join(',\n')}
SELECT hit.*, ${counted} AS counted FROM (${corpusCheck(params, corpus)}) live
LEFT JOIN (SELECT ${HIT}, top.chunk_id AS row FROM ${HITS}) hit ON true
ORDER BY hit.score DESC, hit.row`;
  return { text, params: params.values };
}
