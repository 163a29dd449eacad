import { BM25 } from '../text/index.js';

// Constants reach SQL as float8: as numeric they would make the whole sum numeric, several times slower.
const { k1, b } = BM25;

/**
 * BM25 over the postings of one database, in one statement.
 *
 * `$1` database, `$2` terms, `$3` how often the question has each, `$4` chunks in the database, `$5` their average
 * length, `$6` least share of the highest possible score, `$7` how many.
 *
 * The hits are taken once, by the index, and everything after them works on that set: there is no other order for a
 * planner without statistics to choose. Indexing since `$4` was read may have made `df` the greater one. `score` is the share of what a chunk made for the question could reach.
 */
export const BM25_SQL = `
WITH hits AS MATERIALIZED (
  SELECT term, chunk_id, tf, dl FROM postings WHERE kb_id = $1::int AND term = ANY($2::text[])),
found AS (SELECT term, count(*)::float8 AS df FROM hits GROUP BY term),
weights AS MATERIALIZED (
  SELECT q.term, q.times * ln((greatest($4::float8, df) + 1) / (coalesce(df, 0) + 0.5)) AS weight
  FROM unnest($2::text[], $3::float8[]) AS q (term, times) LEFT JOIN found USING (term)),
best AS MATERIALIZED (SELECT sum(weight) * ${k1 + 1}::float8 AS score FROM weights),
scored AS (
  SELECT chunk_id, sum(weight * tf * ${k1 + 1}::float8
    / (tf + ${k1 * (1 - b)}::float8 + ${k1 * b}::float8 / $5::float8 * dl)) AS bm25
  FROM hits JOIN weights USING (term) GROUP BY chunk_id),
top AS (
  SELECT chunk_id, bm25, bm25 / best.score AS share FROM scored, best
  WHERE bm25 >= $6::float8 * best.score ORDER BY bm25 DESC, chunk_id LIMIT $7::int)
SELECT c.content, top.share AS score, top.bm25 AS bm25_score, f.filename AS source, c.chunk_id, f.file_id, c.chunk_index,
  c.heading_path, c.start_offset AS start, c.end_offset AS "end"
FROM top JOIN chunks c ON c.id = top.chunk_id JOIN files f ON f.id = c.file_id
ORDER BY top.bm25 DESC, top.chunk_id`;
