import type { SqlClient } from '@yuxi/core';

import type { PreparedChunk } from './prepare.js';

/** Postings in one statement: large enough to be quick, small enough for the memory of both ends. */
const POSTINGS_PER_STATEMENT = 20_000;
const MAX_SMALLINT = 32_767;

/** What a statement of {@link writeChunks} begins with. */
export interface FileCte {
  /** CTEs whose last one is `file (id, kb_id)`; their parameters count from `$11`. */
  ctes: string;
  params: readonly unknown[];
}

/**
 * Writes chunks with their postings, for each row of `file`, in one statement.
 * @returns whether there was such a row
 */
export async function writeChunks(sql: SqlClient, file: FileCte, batch: readonly PreparedChunk[]): Promise<boolean> {
  const postings = batch.flatMap(({ index, frequencies }) =>
    [...frequencies].map(([term, tf]) => ({ term, index, tf })),
  );
  const { rows } = await sql.query(
    `WITH ${file.ctes},
     added AS (
       INSERT INTO chunks (chunk_id, kb_id, file_id, chunk_index, content, heading_path, start_offset, end_offset, token_count)
       SELECT c.chunk_id, file.kb_id, file.id, c.chunk_index, c.content, c.heading_path::jsonb, c.start_offset, c.end_offset, c.dl
       FROM file, unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[])
         AS c (chunk_id, chunk_index, content, heading_path, start_offset, end_offset, dl)
       RETURNING id, kb_id, chunk_index, token_count),
     posted AS (
       INSERT INTO postings (kb_id, term, chunk_id, tf, dl)
       SELECT added.kb_id, p.term, added.id, p.tf, added.token_count
       FROM unnest($8::text[], $9::int[], $10::smallint[]) AS p (term, chunk_index, tf) JOIN added USING (chunk_index))
     SELECT id FROM file`,
    [
      batch.map((each) => each.chunkId),
      batch.map((each) => each.index),
      batch.map((each) => each.text),
      batch.map((each) => JSON.stringify(each.headingPath)),
      batch.map((each) => each.start),
      batch.map((each) => each.end),
      batch.map((each) => each.length),
      postings.map((each) => each.term),
      postings.map((each) => each.index),
      postings.map((each) => Math.min(each.tf, MAX_SMALLINT)),
      ...file.params,
    ],
  );
  return rows.length > 0;
}

export function batchesOf(chunks: readonly PreparedChunk[]): PreparedChunk[][] {
  const batches: PreparedChunk[][] = [];
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
