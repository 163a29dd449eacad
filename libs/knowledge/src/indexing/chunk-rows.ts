import type { SqlClient } from '@yuxi/core';

import { Parameters } from '../common/parameters.js';
import type { PreparedChunk } from './prepare.js';

/** Postings in one statement: large enough to be quick, small enough for the memory of both ends. */
const POSTINGS_PER_STATEMENT = 20_000;
const MAX_SMALLINT = 32_767;

/** A chunk that is not in the database yet, with its vector where the knowledge base has vectors. */
export interface NewChunk extends PreparedChunk {
  vector?: string;
}

/**
 * Writes chunks with their postings and vectors, for each row of `file`, in one statement.
 * @param file CTEs whose last one is `file (id, kb_id)`
 * @param returning a query over the CTEs
 * @returns its first row
 */
export async function writeChunks(
  sql: SqlClient,
  params: Parameters,
  file: string,
  generation: number,
  batch: readonly NewChunk[],
  returning: string,
): Promise<Record<string, unknown> | undefined> {
  const postings = batch.flatMap(({ index, frequencies }) =>
    [...frequencies].map(([term, tf]) => ({ term, index, tf })),
  );
  const placed = batch.filter(({ vector }) => vector !== undefined);
  const column = (type: string, values: readonly unknown[]) => `${params.add(values)}::${type}[]`;
  const columns = [
    column('text', batch.map((each) => each.chunkId)),
    column('int', batch.map((each) => each.index)),
    column('text', batch.map((each) => each.text)),
    column('text', batch.map((each) => JSON.stringify(each.headingPath))),
    column('int', batch.map((each) => each.start)),
    column('int', batch.map((each) => each.end)),
    column('int', batch.map((each) => each.length)),
  ]; // prettier-ignore
  const terms = [
    column('text', postings.map((each) => each.term)),
    column('int', postings.map((each) => each.index)),
    column('smallint', postings.map((each) => Math.min(each.tf, MAX_SMALLINT))),
  ]; // prettier-ignore
  const vectors =
    placed.length === 0
      ? ''
      : `, placed AS (
       INSERT INTO chunk_vectors (chunk_id, generation, kb_id, embedding)
       SELECT added.id, ${params.add(generation)}::int, added.kb_id, v.embedding::halfvec
       FROM unnest(${column('int', placed.map((each) => each.index))}, ${column('text', placed.map((each) => each.vector))})
         AS v (chunk_index, embedding) JOIN added USING (chunk_index))`; // prettier-ignore
  const { rows } = await sql.query(
    `WITH ${file},
     added AS (
       INSERT INTO chunks (chunk_id, kb_id, file_id, chunk_index, content, heading_path, start_offset, end_offset, token_count)
       SELECT c.chunk_id, file.kb_id, file.id, c.chunk_index, c.content, c.heading_path::jsonb, c.start_offset, c.end_offset, c.dl
       FROM file, unnest(${columns.join(', ')})
         AS c (chunk_id, chunk_index, content, heading_path, start_offset, end_offset, dl)
       RETURNING id, kb_id, chunk_index, token_count),
     posted AS (
       INSERT INTO postings (kb_id, term, chunk_id, tf, dl)
       SELECT added.kb_id, p.term, added.id, p.tf, added.token_count
       FROM unnest(${terms.join(', ')}) AS p (term, chunk_index, tf) JOIN added USING (chunk_index))${vectors}
     ${returning}`,
    params.values,
  );
  return rows[0];
}

export function batchesOf(chunks: readonly NewChunk[]): NewChunk[][] {
  const batches: NewChunk[][] = [];
  let postings = Infinity;
  for (const each of chunks) {
    if (postings >= POSTINGS_PER_STATEMENT) {
      batches.push([]);
      postings = 0;
    }
    batches.at(-1)!.push(each);
    postings += each.frequencies.size;
  }
  return batches;
}
