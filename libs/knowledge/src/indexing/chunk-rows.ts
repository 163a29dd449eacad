import type { SqlClient } from '@yuxi/core';

import type { PreparedChunk } from './prepare.js';

/** Postings in one statement: large enough to be quick, small enough for the memory of both ends. */
const POSTINGS_PER_STATEMENT = 20_000;
const MAX_SMALLINT = 32_767;

/** Writes chunks with their postings, all arrays of a batch in one statement; stops between two batches when `signal` aborts. */
export async function insertChunks(
  tx: SqlClient,
  file: { id: number; kbId: number },
  chunks: readonly PreparedChunk[],
  signal: AbortSignal,
): Promise<void> {
  for (const batch of batches(chunks)) {
    signal.throwIfAborted();
    const postings = batch.flatMap(({ index, frequencies }) =>
      [...frequencies].map(([term, tf]) => ({ term, index, tf })),
    );
    await tx.query(
      `WITH added AS (
         INSERT INTO chunks (chunk_id, kb_id, file_id, chunk_index, content, heading_path, start_offset, end_offset, token_count)
         SELECT c.chunk_id, $1::int, $2::int, c.chunk_index, c.content, c.heading_path::jsonb, c.start_offset, c.end_offset, c.dl
         FROM unnest($3::text[], $4::int[], $5::text[], $6::text[], $7::int[], $8::int[], $9::int[])
           AS c (chunk_id, chunk_index, content, heading_path, start_offset, end_offset, dl)
         RETURNING id, chunk_index, token_count)
       INSERT INTO postings (kb_id, term, chunk_id, tf, dl)
       SELECT $1::int, p.term, added.id, p.tf, added.token_count
       FROM unnest($10::text[], $11::int[], $12::smallint[]) AS p (term, chunk_index, tf) JOIN added USING (chunk_index)`,
      [
        file.kbId,
        file.id,
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
      ],
    );
  }
}

function* batches(chunks: readonly PreparedChunk[]): Generator<PreparedChunk[]> {
  let batch: PreparedChunk[] = [];
  let postings = 0;
  for (const each of chunks) {
    batch.push(each);
    postings += each.frequencies.size;
    if (postings < POSTINGS_PER_STATEMENT) continue;
    yield batch;
    batch = [];
    postings = 0;
  }
  if (batch.length > 0) yield batch;
}
