import type { Actor } from '../actor.js';
import { Parameters } from '../common/parameters.js';
import { wordCtes, type Words } from './bm25.sql.js';
import type { Corpus } from './corpora.js';
import { stillSo, withActor } from './corpus.sql.js';
import { distanceSql, nearCte, ofGeneration, type VectorQuery } from './near.sql.js';
import type { SearchPlan } from './search-plan.js';

/** Ranks count less the further down they are, and the first ones not too much (Cormack et al. 2009). */
const RRF_K = 60;

const HIT = `c.content, top.score, top.bm25_score, top.vector_score, f.filename AS source, c.chunk_id, f.file_id, c.chunk_index,
  c.heading_path, c.start_offset AS start, c.end_offset AS "end"`;
const HITS = `top JOIN chunks c ON c.id = top.chunk_id JOIN files f ON f.id = c.file_id`;

/** Who asks what of which knowledge base. */
export interface Question {
  actor: Actor;
  corpus: Corpus;
  text: string;
  words: Words;
}

/**
 * Its rows are hits, best first; one row of nulls when nothing was found, and none at all when the corpus is another one by now, or the
 * actor may not search it.
 */
export interface SearchStatement {
  text: string;
  params: readonly unknown[];
}

/** BM25 alone. `score` is the share of the highest possible one. */
export function keywordStatement(question: Question, { topK, threshold }: SearchPlan): SearchStatement {
  const params = withActor(new Parameters(), question.actor);
  // Tens of thousands of chunks may be compared: without a threshold none is.
  const enough = threshold > 0 ? `WHERE bm25 >= ${params.add(threshold)}::float8 * (SELECT score FROM best)` : '';
  const ctes = [
    wordCtes(params, question.words, question.corpus),
    `top AS (
  SELECT chunk_id, bm25 / (SELECT score FROM best) AS score, bm25 AS bm25_score, NULL::float8 AS vector_score FROM scored
  ${enough} ORDER BY bm25 DESC, chunk_id LIMIT ${params.add(topK)}::int)`,
  ];
  return hitsOf(params, question.corpus, ctes, countedOf(question));
}

/** The nearest vectors. `score` is the cosine, 0 for what points away. */
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
  return hitsOf(params, question.corpus, ctes);
}

/**
 * Both. The best of each are candidates, and each candidate gets its exact score of both kinds, not only of the one that found it.
 * `weighted`: the mean of share and cosine by weight. `rrf`: of the reciprocal ranks, 1 for what is first in both.
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
    wordCtes(params, question.words, question.corpus),
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
  return hitsOf(params, question.corpus, ctes, countedOf(question));
}

/** What the next search need not count again. */
function countedOf({ words, corpus }: Question): string {
  const isKnown = [...words.keys()].every((term) => corpus.frequencies.has(term));
  return isKnown ? 'NULL' : '(SELECT jsonb_object_agg(term, df) FROM weights)';
}

/** @param ctes the last of them is `top` @param counted an expression of its own column in each row */
function hitsOf(params: Parameters, corpus: Corpus, ctes: readonly string[], counted = 'NULL'): SearchStatement {
  const text = `WITH ${ctes.join(',\n')}
SELECT hit.*, ${counted} AS counted FROM (${stillSo(params, corpus)}) live
LEFT JOIN (SELECT ${HIT}, top.chunk_id AS row FROM ${HITS}) hit ON true
ORDER BY hit.score DESC, hit.row`;
  return { text, params: params.values };
}
