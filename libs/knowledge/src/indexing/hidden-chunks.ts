import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { Parameters } from '../common/parameters.js';
import { type ChunkRows, writeHidden } from './chunk-rows.js';
import type { Claim } from './claim.js';
import { ClaimLostError } from './indexing.errors.js';

/** Ids of one block; a document has fewer chunks. The first block begins far above the ids that the sequence gives to single chunks. */
const BLOCK_SIZE = 2 ** 20;
const FIRST_BLOCK = 2 ** 42;
/** Chunks of one deletion; each has some hundred postings. */
export const REMOVED_AT_ONCE = 16;
/** Number of chunks that one statement may delete together with other work. */
export const FEW_CHUNKS = 64;
/** Subtracted from the `chunk_index` of a chunk that is being removed. Those of chunks that are being written count down from -1. */
export const REPLACED = 2 ** 30;
/** After this time without a renewal a run is dead, and its task was started again or has failed. */
const DEAD_AFTER = '5 minutes';

/**
 * Chunks in the tables that searches do not find. They belong to a large document that is being written in many transactions, or to an old
 * index that is being removed. `files.hidden_chunks` has their ids, which searches leave out. Their `chunk_index` is negative.
 */
@Injectable()
export class HiddenChunks {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /**
   * Removes the hidden chunks of earlier runs, then reserves a block of ids for this run.
   * @returns the first id
   * @throws {ClaimLostError} @throws the reason of `signal`
   */
  async begin(claim: Claim, chunks: number, signal: AbortSignal): Promise<number> {
    await this.remove(claim, signal);
    const { rows } = await this.sql.query<{ first: number }>(
      `WITH block AS MATERIALIZED (SELECT $3::bigint + nextval('chunk_blocks') * $4::bigint AS first)
       UPDATE files SET hidden_chunks = int8multirange(int8range(first, first + $5::bigint)) FROM block
       WHERE id = $1 AND claim = $2 AND claim_until IS NOT NULL RETURNING first`,
      [claim.id, claim.number, FIRST_BLOCK, BLOCK_SIZE, chunks],
    );
    if (!rows[0]) throw new ClaimLostError(claim.fileId);
    return rows[0].first;
  }

  /**
   * Writes rows in one short transaction. Its lock on the file delays a takeover, so that the takeover sees all rows of this run.
   * @throws {ClaimLostError}
   */
  async write(claim: Claim, firstId: number, rows: ChunkRows): Promise<void> {
    const params = new Parameters();
    const file = `file AS MATERIALIZED (
       SELECT id, kb_id FROM files WHERE id = ${params.add(claim.id)} AND claim = ${params.add(claim.number)}
         AND claim_until IS NOT NULL FOR SHARE)`;
    if (!(await writeHidden(this.sql, params, file, rows, firstId))) throw new ClaimLostError(claim.fileId);
  }

  /** Removes all hidden chunks of a file in short transactions, unless another run has claimed the file. */
  async remove({ id, number }: Pick<Claim, 'id' | 'number'>, signal?: AbortSignal): Promise<void> {
    for (let removed = 1; removed > 0;) {
      signal?.throwIfAborted();
      const { rowCount } = await this.sql.query(
        `DELETE FROM chunks WHERE id IN (
           SELECT c.id FROM files f JOIN chunks c ON c.file_id = f.id
           WHERE f.id = $1 AND f.claim = $2 AND f.hidden_chunks IS NOT NULL AND c.chunk_index < 0
           ORDER BY c.id LIMIT $3 FOR UPDATE OF c SKIP LOCKED)`,
        [id, number, REMOVED_AT_ONCE],
      );
      removed = rowCount;
    }
    await this.sql.query(
      `UPDATE files SET hidden_chunks = NULL WHERE id = $1 AND claim = $2 AND hidden_chunks IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.file_id = files.id AND c.chunk_index < 0)`,
      [id, number],
    );
  }

  /**
   * Removes the large indexes among those of the files. The status becomes `parsed`, and a run of such a file ends. Small indexes stay.
   */
  async removeLargeIndexes(kbId: number, fileIds: readonly string[]): Promise<void> {
    const { rows } = await this.sql.query<Pick<Claim, 'id' | 'number'>>(
      `UPDATE files SET claim = claim + 1, claim_until = NULL, status = 'parsed', fingerprint = NULL, error = NULL, updated_at = now()
       WHERE kb_id = $1 AND file_id = ANY($2::text[]) AND markdown IS NOT NULL AND (chunk_count > $3 OR hidden_chunks IS NOT NULL)
       RETURNING id, claim AS number`,
      [kbId, fileIds, FEW_CHUNKS],
    );
    for (const claim of rows) {
      await this.remove(claim);
      await this.#hideAll(claim);
      await this.remove(claim);
    }
  }

  async #hideAll({ id, number }: Pick<Claim, 'id' | 'number'>): Promise<void> {
    await this.sql.query(
      `WITH owned AS (
         UPDATE files SET chunk_count = 0, token_count = 0, hidden_chunks = (
           SELECT range_agg(int8range(c.id, c.id, '[]')) FROM chunks c WHERE c.file_id = files.id)
         WHERE id = $1 AND claim = $2 RETURNING id)
       UPDATE chunks c SET chunk_index = -c.chunk_index - ${REPLACED}, chunk_id = '-' || c.chunk_id FROM owned
       WHERE c.file_id = owned.id AND c.chunk_index >= 0`,
      [id, number],
    );
  }

  /** Removes the hidden chunks of runs that died. */
  async sweep(signal: AbortSignal): Promise<void> {
    // Ends the claim of the dead run, so that it cannot write if its process continues later.
    await this.sql.query(
      `UPDATE files SET claim = claim + 1, claim_until = NULL,
         status = CASE WHEN fingerprint IS NULL THEN 'parsed' ELSE 'indexed' END, updated_at = now()
       WHERE hidden_chunks IS NOT NULL AND status = 'indexing' AND claim_until < now() - interval '${DEAD_AFTER}'`,
    );
    const { rows } = await this.sql.query<{ id: number; number: number }>(
      'SELECT id, claim AS number FROM files WHERE hidden_chunks IS NOT NULL AND claim_until IS NULL ORDER BY id LIMIT 100',
    );
    for (const each of rows) await this.remove(each, signal);
  }
}
