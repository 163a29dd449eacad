import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { ChunkParams } from '../files/processing-params.js';
import { insertChunks } from './chunk-rows.js';
import type { Claim } from './claim.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { ClaimLostError } from './indexing.errors.js';
import type { PreparedChunk } from './prepare.js';

export interface FinishedIndex {
  kbId: number;
  fingerprint: string;
  /** Chunk parameters of the request, kept with the file. */
  params: ChunkParams;
  chunks: readonly PreparedChunk[];
}

/** Replaces the index of a file: all of it or nothing, and only for the run that still has the claim. */
@Injectable()
export class IndexCommit {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(INDEXING_HOOKS) private readonly hooks: IndexingHooks,
  ) {}

  /**
   * A large file takes seconds to write, so that an abort of `signal` is heard here too; it undoes everything.
   * @throws {ClaimLostError} when the file was taken over or deleted; nothing was written.
   */
  async run(claim: Claim, { kbId, fingerprint, params, chunks }: FinishedIndex, signal: AbortSignal): Promise<void> {
    const tokens = chunks.reduce((sum, each) => sum + each.length, 0);
    await this.sql.transaction(async (tx) => {
      // First the row: it is held to the end, so that nobody claims or deletes the file in between.
      const { rows } = await tx.query(
        `UPDATE files SET status = 'indexed', error = NULL, claim_until = NULL, index_count = index_count + 1,
           fingerprint = $3, params = params || $4::jsonb, chunk_count = $5, token_count = $6, updated_at = now()
         WHERE id = $1 AND ((claim = $2 AND status = 'indexing') OR $7::boolean) RETURNING 1`,
        [
          claim.id,
          claim.number,
          fingerprint,
          JSON.stringify(params),
          chunks.length,
          tokens,
          this.hooks.broken.has('claim'),
        ],
      );
      if (rows.length === 0) throw new ClaimLostError(claim.fileId);
      await tx.query('DELETE FROM chunks WHERE file_id = $1', [claim.id]);
      await insertChunks(tx, { id: claim.id, kbId }, chunks, signal);
    });
  }
}
