import type { SqlClient } from '@yuxi/core';

import type { Parameters } from '../common/parameters.js';
import { arrayLiteral, type RowColumns } from './threads/row-columns.js';

/** The rows of one statement. */
export interface ChunkRows {
  columns: RowColumns;
  /** One for each chunk; absent when the knowledge base has no vectors. */
  vectors?: readonly string[];
  /** Generation of the vectors. */
  generation: number;
}

/** SQL expressions for the identity of a chunk, over `c`, a row with `ordinal`, `chunk_id` and `chunk_index`. */
interface Numbering {
  id: string;
  chunkId: string;
  index: string;
}

const VISIBLE: Numbering = { id: `nextval('chunks_id_seq')`, chunkId: 'c.chunk_id', index: 'c.chunk_index' };
/** @param first placeholder of the first id of the block */
const hidden = (first: string): Numbering => ({
  id: `${first}::bigint + c.ordinal`,
  chunkId: `'${HIDDEN_MARK}' || c.chunk_id`,
  index: '-1 - c.chunk_index',
});

/** Prefix of the `chunk_id` of a chunk that is not visible yet. */
export const HIDDEN_MARK = '+';

/**
 * Writes visible chunks.
 * @param file CTEs, the last of them `file (id, kb_id)`: the rows are written for each row of it
 * @param returning a query over the CTEs
 * @returns its first row
 */
export function writeVisible(sql: SqlClient, params: Parameters, file: string, rows: ChunkRows, returning: string) {
  return write(sql, params, file, rows, VISIBLE, returning);
}

/**
 * Writes hidden chunks. Postings may belong to a chunk of an earlier statement.
 * @param firstId first id of the block
 * @returns whether `file` had a row
 */
export async function writeHidden(
  sql: SqlClient,
  params: Parameters,
  file: string,
  rows: ChunkRows,
  firstId: number,
): Promise<boolean> {
  const numbering = hidden(params.add(firstId));
  return (await write(sql, params, file, rows, numbering, 'SELECT 1 FROM file')) !== undefined;
}

async function write(
  sql: SqlClient,
  params: Parameters,
  file: string,
  { columns, vectors, generation }: ChunkRows,
  numbering: Numbering,
  returning: string,
): Promise<Record<string, unknown> | undefined> {
  const { chunks, postings } = columns;
  const array = (type: string, literal: string) => `${params.add(literal)}::${type}[]`;
  const ordinals = array('int', chunks.ordinal);
  const ctes = [
    file,
    `numbered AS MATERIALIZED (
       SELECT ${numbering.id} AS id, ${numbering.chunkId} AS chunk_id, ${numbering.index} AS chunk_index,
         c.ordinal, c.content, c.heading_path, c.start_offset, c.end_offset, c.dl
       FROM file, unnest(${ordinals}, ${array('text', chunks.chunkId)}, ${array('int', chunks.index)}, ${array('text', chunks.text)},
           ${array('text', chunks.headingPath)}, ${array('int', chunks.start)}, ${array('int', chunks.end)}, ${array('int', chunks.length)})
         AS c (ordinal, chunk_id, chunk_index, content, heading_path, start_offset, end_offset, dl))`,
    `added AS (
       INSERT INTO chunks (id, chunk_id, kb_id, file_id, chunk_index, content, heading_path, start_offset, end_offset, token_count)
       SELECT n.id, n.chunk_id, file.kb_id, file.id, n.chunk_index, n.content, n.heading_path::jsonb, n.start_offset, n.end_offset, n.dl
       FROM file, numbered n)`,
    `posted AS (
       INSERT INTO postings (kb_id, term, chunk_id, tf, dl)
       SELECT file.kb_id, c.term, ${numbering === VISIBLE ? 'n.id' : numbering.id}, c.tf, c.dl
       FROM file, unnest(${array('int', postings.ordinal)}, ${array('text', postings.term)}, ${array('smallint', postings.tf)},
           ${array('int', postings.length)}) AS c (ordinal, term, tf, dl)
         ${numbering === VISIBLE ? 'JOIN numbered n USING (ordinal)' : ''})`,
  ];
  if (vectors !== undefined && columns.count > 0)
    ctes.push(`placed AS (
       INSERT INTO chunk_vectors (chunk_id, generation, kb_id, embedding)
       SELECT n.id, ${params.add(generation)}::int, file.kb_id, v.embedding::halfvec
       FROM file, unnest(${ordinals}, ${array('text', arrayLiteral(vectors))}) AS v (ordinal, embedding)
         JOIN numbered n USING (ordinal))`);
  const { rows } = await sql.query(`WITH ${ctes.join(',\n')}\n${returning}`, params.values);
  return rows[0];
}
