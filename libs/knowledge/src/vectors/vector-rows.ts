import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

/** Rows of one statement. */
export const VECTOR_BATCH = 256;

export interface GenerationId {
  kbId: number;
  generation: number;
}

export interface ChunkText {
  /** `chunks.id`. */
  id: number;
  content: string;
}

/** Vectors of whole generations. */
@Injectable()
export class VectorRows {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /** Chunks that have no vector of the generation, by id. @param after the last one of the batch before */
  async missing(
    { kbId, generation }: GenerationId,
    after = 0,
    sql = this.sql,
    limit = VECTOR_BATCH,
  ): Promise<ChunkText[]> {
    const { rows } = await sql.query<ChunkText>(
      `SELECT c.id, c.content FROM chunks c
       WHERE c.kb_id = $1 AND c.id > $3 AND c.chunk_index >= 0
         AND NOT EXISTS (SELECT 1 FROM chunk_vectors v WHERE v.chunk_id = c.id AND v.generation = $2)
       ORDER BY c.id LIMIT $4`,
      [kbId, generation, after, limit],
      { plan: 'each' },
    );
    return rows;
  }

  /** Adds vectors to chunks that are still there and have none. */
  async add({ kbId, generation }: GenerationId, ids: readonly number[], vectors: readonly string[]): Promise<void> {
    await this.sql.query(
      `WITH there AS MATERIALIZED (SELECT id FROM chunks WHERE id = ANY($3::bigint[]) ORDER BY id FOR KEY SHARE)
       INSERT INTO chunk_vectors (chunk_id, generation, kb_id, embedding)
       SELECT u.id, $2::int, $1::int, u.embedding::halfvec
       FROM unnest($3::bigint[], $4::text[]) AS u (id, embedding) JOIN there USING (id)
       ON CONFLICT DO NOTHING`,
      [kbId, generation, ids, vectors],
    );
  }

  /** Removes all, in batches, so that nobody waits long. */
  async removeAll({ kbId, generation }: GenerationId, signal: AbortSignal): Promise<void> {
    for (let removed = VECTOR_BATCH; removed > 0;) {
      signal.throwIfAborted();
      const { rowCount } = await this.sql.query(
        `DELETE FROM chunk_vectors WHERE generation = $2 AND chunk_id IN (
           SELECT chunk_id FROM chunk_vectors WHERE kb_id = $1 AND generation = $2 LIMIT $3)`,
        [kbId, generation, VECTOR_BATCH * 4],
      );
      removed = rowCount;
    }
  }
}
