import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { Parameters } from '../common/parameters.js';
import type { ChunkParams } from '../files/processing-params.js';
import { ANALYZER_VERSION } from '../text/index.js';
import { batchesOf, type NewChunk, writeChunks } from './chunk-rows.js';
import type { Claim } from './claim.js';
import { INDEXING_HOOKS, type IndexingHooks } from './hooks.js';
import { ClaimLostError } from './indexing.errors.js';
import type { PreparedChunk } from './prepare.js';

export interface FinishedIndex {
  kbId: number;
  /** Whose vectors these are: another one by now makes them worthless. */
  generation: number;
  fingerprint: string;
  /** Chunk parameters of the request, kept with the file. */
  params: ChunkParams;
  fresh: readonly NewChunk[];
  kept: readonly PreparedChunk[];
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
   * @returns how many chunks of the old index are gone; `null` when the generation has changed and nothing was written
   * @throws {ClaimLostError} when the file was taken over or deleted; nothing was written.
   */
  async run(claim: Claim, index: FinishedIndex, signal: AbortSignal): Promise<{ removed: number } | null> {
    const [first = [], ...others] = batchesOf(index.fresh);
    if (others.length === 0) return this.replace(this.sql, claim, index, first);
    return this.sql.transaction(async (tx) => {
      const done = await this.replace(tx, claim, index, first);
      if (!done) return null;
      for (const batch of others) {
        signal.throwIfAborted();
        const params = new Parameters();
        const file = `file AS (SELECT ${params.add(claim.id)}::int AS id, ${params.add(index.kbId)}::int AS kb_id)`;
        await writeChunks(tx, params, file, index.generation, batch, 'SELECT 1 FROM file');
      }
      return done;
    });
  }

  private async replace(sql: SqlClient, claim: Claim, index: FinishedIndex, first: readonly NewChunk[]) {
    const params = new Parameters();
    const row = await writeChunks(
      sql,
      params,
      this.finish(params, claim, index),
      index.generation,
      first,
      'SELECT (SELECT count(*)::int FROM gone) AS removed FROM file',
    );
    if (row) return { removed: row['removed'] as number };
    if (await this.stillOurs(sql, claim)) return null;
    throw new ClaimLostError(claim.fileId);
  }

  /**
   * First the rows of knowledge base and file: they are held to the end, so that nobody swaps the generation, claims or
   * deletes the file in between. Counting what was deleted makes the statement finish that before it inserts under the same
   * unique keys.
   */
  private finish(params: Parameters, claim: Claim, index: FinishedIndex): string {
    const { fingerprint, fresh, kept } = index;
    const tokens = [...fresh, ...kept].reduce((sum, each) => sum + each.length, 0);
    const id = `${params.add(claim.id)}::int`;
    const column = (type: string, of: (each: PreparedChunk) => unknown) => `${params.add(kept.map(of))}::${type}[]`;
    return `base AS (
         SELECT id FROM databases
         WHERE id = ${params.add(index.kbId)}::int AND deleted_at IS NULL
           AND (index_generation = ${params.add(index.generation)}::int OR ${params.add(this.hooks.broken.has('generation'))}::boolean)
         FOR KEY SHARE),
       owned AS (
         UPDATE files SET status = 'indexed', error = NULL, claim_until = NULL, index_count = index_count + 1,
           fingerprint = ${params.add(fingerprint)}, analyzer = ${params.add(ANALYZER_VERSION)},
           params = files.params || ${params.add(JSON.stringify(index.params))}::jsonb,
           chunk_count = ${params.add(fresh.length + kept.length)}, token_count = ${params.add(tokens)}, updated_at = now()
         FROM base WHERE files.id = ${id} AND files.kb_id = base.id
           AND ((claim = ${params.add(claim.number)} AND status = 'indexing') OR ${params.add(this.hooks.broken.has('claim'))}::boolean)
         RETURNING files.id, files.kb_id),
       stay AS (
         SELECT * FROM unnest(${column('text', (each) => each.chunkId)}, ${column('int', (each) => each.index)},
             ${column('text', (each) => JSON.stringify(each.headingPath))}, ${column('int', (each) => each.start)},
             ${column('int', (each) => each.end)})
           AS s (chunk_id, chunk_index, heading_path, start_offset, end_offset)),
       gone AS (
         DELETE FROM chunks c USING owned
         WHERE c.file_id = owned.id AND NOT EXISTS (SELECT 1 FROM stay WHERE stay.chunk_id = c.chunk_id) RETURNING 1),
       moved AS (
         UPDATE chunks c SET chunk_index = s.chunk_index, heading_path = s.heading_path::jsonb,
           start_offset = s.start_offset, end_offset = s.end_offset
         FROM owned, stay s WHERE c.file_id = owned.id AND c.chunk_id = s.chunk_id
           AND (c.chunk_index, c.heading_path, c.start_offset, c.end_offset)
             IS DISTINCT FROM (s.chunk_index, s.heading_path::jsonb, s.start_offset, s.end_offset)
         RETURNING 1),
       file AS (
         SELECT id, kb_id FROM owned WHERE (SELECT count(*) FROM gone) >= 0 AND (SELECT count(*) FROM moved) >= 0)`;
  }

  private async stillOurs(sql: SqlClient, { id, number }: Claim): Promise<boolean> {
    const { rows } = await sql.query(
      `SELECT 1 FROM files WHERE id = $1 AND claim = $2 AND status = 'indexing' AND claim_until IS NOT NULL`,
      [id, number],
    );
    return rows.length > 0;
  }
}
