import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { ChunkParams } from '../files/processing-params.js';
import { batchesOf, type FileCte, writeChunks } from './chunk-rows.js';
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
   * Most files fit into one statement, which is a transaction by itself. A large one takes seconds to write, so that an
   * abort of `signal` is heard between its statements too; it undoes everything.
   * @throws {ClaimLostError} when the file was taken over or deleted; nothing was written.
   */
  async run(claim: Claim, index: FinishedIndex, signal: AbortSignal): Promise<void> {
    const [first = [], ...others] = batchesOf(index.chunks);
    const replace = async (sql: SqlClient) => {
      if (!(await writeChunks(sql, this.finish(claim, index), first))) throw new ClaimLostError(claim.fileId);
    };
    if (others.length === 0) return replace(this.sql);
    const file = { ctes: 'file AS (SELECT $11::int AS id, $12::int AS kb_id)', params: [claim.id, index.kbId] };
    await this.sql.transaction(async (tx) => {
      await replace(tx);
      for (const batch of others) {
        signal.throwIfAborted();
        await writeChunks(tx, file, batch);
      }
    });
  }

  /**
   * First the row: it is held to the end, so that nobody claims or deletes the file in between. Counting what was
   * deleted makes the statement finish that before it inserts under the same unique keys.
   */
  private finish(claim: Claim, { fingerprint, params, chunks }: FinishedIndex): FileCte {
    const tokens = chunks.reduce((sum, each) => sum + each.length, 0);
    return {
      ctes: `owned AS (
         UPDATE files SET status = 'indexed', error = NULL, claim_until = NULL, index_count = index_count + 1,
           fingerprint = $13, params = params || $14::jsonb, chunk_count = $15, token_count = $16, updated_at = now()
         WHERE id = $11 AND ((claim = $12 AND status = 'indexing') OR $17::boolean) RETURNING id, kb_id),
       gone AS (DELETE FROM chunks USING owned WHERE chunks.file_id = owned.id RETURNING 1),
       file AS (SELECT id, kb_id FROM owned WHERE (SELECT count(*) FROM gone) >= 0)`,
      params: [
        claim.id,
        claim.number,
        fingerprint,
        JSON.stringify(params),
        chunks.length,
        tokens,
        this.hooks.broken.has('claim'),
      ],
    };
  }
}
