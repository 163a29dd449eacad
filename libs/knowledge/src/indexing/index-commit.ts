import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { Parameters } from '../common/parameters.js';
import type { ChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION } from '../text/index.js';
import { type ChunkRows, HIDDEN_MARK, writeVisible } from './chunk-rows.js';
import type { Claim } from './claim.js';
import { REPLACED } from './hidden-chunks.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { ClaimLostError } from './indexing.errors.js';
import type { PlacedChunk } from './threads/cut-document.js';

export interface FinishedIndex {
  kbId: number;
  /** Generation of the vectors. The commit fails when another one is live by then. */
  generation: number;
  fingerprint: string;
  /** Chunk parameters of the request, stored with the file. */
  params: ChunkParams;
  /** New chunks, and the terms in them, with repetitions. */
  fresh: { chunks: number; tokens: number };
  kept: readonly PlacedChunk[];
}

/** Replaces the index of a file in one transaction, and only for the run that still has the claim. */
@Injectable()
export class IndexCommit {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /**
   * Writes a small document in one statement.
   * @returns number of removed chunks; `null` when the generation has changed and nothing was written
   * @throws {ClaimLostError} when the file was taken over or deleted; nothing was written.
   */
  async write(claim: Claim, index: FinishedIndex, rows: ChunkRows): Promise<{ removed: number } | null> {
    const params = new Parameters();
    const ctes = `${this.#finish(params, claim, index)},
       gone AS (
         DELETE FROM chunks c USING owned
         WHERE c.file_id = owned.id AND NOT EXISTS (SELECT 1 FROM stay WHERE stay.chunk_id = c.chunk_id) RETURNING 1),
       ${MOVED},
       file AS (
         SELECT id, kb_id FROM owned WHERE (SELECT count(*) FROM gone) >= 0 AND (SELECT count(*) FROM moved) >= 0)`;
    const returning = 'SELECT (SELECT count(*)::int FROM gone) AS removed FROM file';
    const row = await writeVisible(this.sql, params, ctes, rows, returning);
    return this.#outcome(this.sql, claim, row);
  }

  /**
   * Makes the hidden chunks of the new index visible, and hides the chunks that it replaces, in one transaction.
   * @returns as {@link write}; the caller then removes the hidden chunks
   * @throws {ClaimLostError} as {@link write}
   */
  async show(claim: Claim, index: FinishedIndex): Promise<{ removed: number } | null> {
    return this.sql.transaction(async (tx) => {
      const params = new Parameters();
      const ctes = `${this.#finish(params, claim, index)},
       gone AS (
         UPDATE chunks c SET chunk_index = -c.chunk_index - ${REPLACED}, chunk_id = '-' || c.chunk_id FROM owned
         WHERE c.file_id = owned.id AND c.chunk_index >= 0
           AND NOT EXISTS (SELECT 1 FROM stay WHERE stay.chunk_id = c.chunk_id) RETURNING 1),
       ${MOVED}`;
      const { rows } = await tx.query(
        `WITH ${ctes} SELECT (SELECT count(*)::int FROM gone) AS removed FROM owned WHERE (SELECT count(*) FROM moved) >= 0`,
        params.values,
      );
      const outcome = await this.#outcome(tx, claim, rows[0]);
      if (outcome) await this.#makeVisible(tx, claim, index.fresh.chunks);
      return outcome;
    });
  }

  /** Makes the new chunks of a file visible; replaced ones stay hidden. */
  async #makeVisible(tx: SqlClient, { id, fileId }: Claim, expected: number): Promise<void> {
    const { rowCount } = await tx.query(
      `UPDATE chunks SET chunk_index = -1 - chunk_index, chunk_id = ltrim(chunk_id, '${HIDDEN_MARK}')
       WHERE file_id = $1 AND chunk_index < 0 AND chunk_index > ${-REPLACED}`,
      [id],
    );
    if (rowCount !== expected)
      throw new Error(`${rowCount} chunks of file ${fileId} were written instead of ${expected}`);
    await tx.query(
      `UPDATE files SET hidden_chunks = (
         SELECT range_agg(int8range(c.id, c.id, '[]')) FROM chunks c WHERE c.file_id = files.id AND c.chunk_index < 0)
       WHERE id = $1`,
      [id],
    );
  }

  async #outcome(sql: SqlClient, claim: Claim, row: Record<string, unknown> | undefined) {
    if (row) return { removed: row['removed'] as number };
    if (await this.#hasClaim(sql, claim)) return null;
    throw new ClaimLostError(claim.fileId);
  }

  /**
   * Locks the rows of knowledge base and file first, until the end of the transaction. Then no other transaction can change the generation,
   * or claim or delete the file. Counting the deleted rows makes the statement delete them before it inserts rows with the same unique keys.
   */
  #finish(params: Parameters, claim: Claim, index: FinishedIndex): string {
    const { fingerprint, fresh, kept } = index;
    const id = `${params.add(claim.id)}::int`;
    const column = (type: string, of: (each: PlacedChunk) => unknown) => `${params.add(kept.map(of))}::${type}[]`;
    return `base AS (
         SELECT id FROM databases
         WHERE id = ${params.add(index.kbId)}::int AND deleted_at IS NULL
           AND (index_generation = ${params.add(index.generation)}::int OR ${params.add(this.hooks.broken.has('generation'))}::boolean)
         FOR KEY SHARE),
       stay AS MATERIALIZED (
         SELECT * FROM unnest(${column('text', (each) => each.chunkId)}, ${column('int', (each) => each.index)},
             ${column('text', (each) => each.headingPath)}, ${column('int', (each) => each.start)},
             ${column('int', (each) => each.end)})
           AS s (chunk_id, chunk_index, heading_path, start_offset, end_offset)),
       owned AS (
         UPDATE files SET status = 'indexed', error = NULL, claim_until = NULL, hidden_chunks = NULL, index_count = index_count + 1,
           fingerprint = ${params.add(fingerprint)}, analyzer = ${params.add(ANALYZER_VERSION)},
           params = files.params || ${params.add(JSON.stringify(index.params))}::jsonb,
           chunk_count = ${params.add(fresh.chunks + kept.length)},
           token_count = ${params.add(fresh.tokens)}::int + (
             SELECT coalesce(sum(c.token_count), 0)::int FROM chunks c JOIN stay USING (chunk_id) WHERE c.file_id = files.id),
           updated_at = now()
         FROM base WHERE files.id = ${id} AND files.kb_id = base.id
           AND ((claim = ${params.add(claim.number)} AND status = 'indexing') OR ${params.add(this.hooks.broken.has('claim'))}::boolean)
         RETURNING files.id, files.kb_id)`;
  }

  async #hasClaim(sql: SqlClient, { id, number }: Claim): Promise<boolean> {
    const { rows } = await sql.query(
      `SELECT 1 FROM files WHERE id = $1 AND claim = $2 AND status = 'indexing' AND claim_until IS NOT NULL`,
      [id, number],
    );
    return rows.length > 0;
  }
}

/** Updates the positions of unchanged chunks. */
const MOVED = `moved AS (
         UPDATE chunks c SET chunk_index = s.chunk_index, heading_path = s.heading_path::jsonb,
           start_offset = s.start_offset, end_offset = s.end_offset
         FROM owned, stay s WHERE c.file_id = owned.id AND c.chunk_id = s.chunk_id
           AND (c.chunk_index, c.heading_path, c.start_offset, c.end_offset)
             IS DISTINCT FROM (s.chunk_index, s.heading_path::jsonb, s.start_offset, s.end_offset)
         RETURNING 1)`;
