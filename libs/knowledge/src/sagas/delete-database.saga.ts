import { Inject } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { type CompensationContext, Saga, type SagaContext, SagaStep } from '@yuxi/saga';
import { TaskService } from '@yuxi/tasks';
import { z } from 'zod';

import { collectBlobs, RemovalService } from '../files/removal.service.js';
import { REMOVED_AT_ONCE } from '../indexing/hidden-chunks.js';
import { type GenerationId, Generations } from '../vectors/generations.js';
import { VectorIndexes } from '../vectors/vector-index.js';

const inputSchema = z.object({ kbId: z.int(), dbId: z.string() });
export type DeleteDatabase = z.infer<typeof inputSchema>;

/** Files of one step. */
const FILES_AT_ONCE = 100;

/**
 * Removes a hidden knowledge base in small transactions. The transaction that started this saga has set `deleted_at`, which hides it. A
 * cancel restores the knowledge base until the removal of its chunks begins.
 */
@Saga({ name: 'knowledge.delete_database', version: 1, schema: inputSchema, scope: ({ dbId }) => dbId })
export class DeleteDatabaseSaga {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly tasks: TaskService,
    private readonly removal: RemovalService,
    private readonly generations: Generations,
    private readonly indexes: VectorIndexes,
  ) {}

  @SagaStep({ order: 1, compensate: 'restore' })
  async stopTasks({ input }: SagaContext<DeleteDatabase>): Promise<{ stopped: number }> {
    const members = await this.tasks.cancelWith({ dbId: input.dbId });
    return { stopped: members + (await this.tasks.cancelWith({ db_id: input.dbId })) };
  }

  /** Another knowledge base may have got the name meanwhile. */
  async restore({ input }: CompensationContext<DeleteDatabase>): Promise<void> {
    await this.sql.query(
      `UPDATE databases d SET deleted_at = NULL, updated_at = now(), name = CASE
         WHEN EXISTS (SELECT 1 FROM databases o WHERE o.name = d.name AND o.deleted_at IS NULL AND o.id <> d.id)
         THEN left(d.name, 60) || ' ' || d.db_id ELSE d.name END
       WHERE id = $1`,
      [input.kbId],
    );
  }

  @SagaStep({ order: 2, compensate: false, pivot: true })
  async dropChunks({ input, signal }: SagaContext<DeleteDatabase>): Promise<void> {
    for (let removed = REMOVED_AT_ONCE; removed > 0;) {
      signal.throwIfAborted();
      const { rowCount } = await this.sql.query(
        'DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE kb_id = $1 LIMIT $2)',
        [input.kbId, REMOVED_AT_ONCE],
      );
      removed = rowCount;
    }
  }

  @SagaStep({ order: 3, compensate: false })
  async dropFiles({ input, signal }: SagaContext<DeleteDatabase>): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const { rows } = await this.sql.query<{ file_id: string }>(
        'SELECT file_id FROM files WHERE kb_id = $1 LIMIT $2',
        [input.kbId, FILES_AT_ONCE],
      );
      if (rows.length === 0) return;
      await this.removal.remove(
        input.kbId,
        rows.map((row) => row.file_id),
      );
    }
  }

  /** Deleting the row also deletes files of uploads that ended after the previous step. */
  @SagaStep({ order: 4, compensate: false })
  async dropRow({ input }: SagaContext<DeleteDatabase>): Promise<void> {
    if (this.generations.possible) await this.#dropIndexes(input.kbId);
    await this.sql.transaction(async (tx) => {
      // Waits for uploads, which hold a key share on this row, so that the list of contents is complete.
      await tx.query('SELECT 1 FROM databases WHERE id = $1 FOR UPDATE', [input.kbId]);
      const { rows } = await tx.query<{ content_hash: string }>(
        'SELECT DISTINCT content_hash FROM files WHERE kb_id = $1',
        [input.kbId],
      );
      await tx.query('DELETE FROM databases WHERE id = $1', [input.kbId]);
      await collectBlobs(
        tx,
        rows.map((row) => row.content_hash),
      );
    });
  }

  async #dropIndexes(kbId: number): Promise<void> {
    const { rows } = await this.sql.query<GenerationId>(
      'SELECT kb_id AS "kbId", generation FROM index_generations WHERE kb_id = $1 AND has_index',
      [kbId],
    );
    for (const id of rows) await this.indexes.drop(id);
  }
}
