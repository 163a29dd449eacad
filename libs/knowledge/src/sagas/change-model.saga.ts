import { Inject } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { type ModelSpec, modelSpecSchema } from '@yuxi/embedding';
import { type CompensationContext, Saga, type SagaContext, SagaRejectedError, SagaStep } from '@yuxi/saga';
import { z } from 'zod';

import { Embedder } from '../vectors/embedder.js';
import { type GenerationId, VectorRows } from '../vectors/generations.js';
import { VectorIndexes } from '../vectors/vector-index.js';

/** Name of the saga that gives a knowledge base vectors of another model. */
export const CHANGE_MODEL = 'knowledge.change_model';

export const changeModelSchema = z.object({ kbId: z.int(), dbId: z.string(), generation: z.int() });
export type ChangeModel = z.infer<typeof changeModelSchema>;

/**
 * Gives a knowledge base vectors of another model. A new generation is built while the old one is live, and replaces it in one transaction
 * when each chunk has a vector. A search uses either the old or the new generation.
 */
@Saga({ name: CHANGE_MODEL, version: 1, schema: changeModelSchema, scope: ({ dbId }) => dbId })
export class ChangeModelSaga {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly rows: VectorRows,
    private readonly embedder: Embedder,
    private readonly indexes: VectorIndexes,
  ) {}

  @SagaStep({ order: 1, compensate: 'dropNew', retry: { attempts: 8, backoff: '2s', maxBackoff: '2m' } })
  async build({ input, signal }: SagaContext<ChangeModel>): Promise<{ vectors: number }> {
    return { vectors: await this.#fill(input, await this.#modelOf(input), signal) };
  }

  async dropNew({ input, signal, reason }: CompensationContext<ChangeModel>): Promise<void> {
    const { kbId, generation } = input;
    await this.#remove(input, signal);
    await this.sql.query(
      `UPDATE index_generations SET state = 'failed', error = $3, has_index = false WHERE kb_id = $1 AND generation = $2`,
      [kbId, generation, reason],
    );
  }

  @SagaStep({ order: 2, compensate: false })
  async index({ input }: SagaContext<ChangeModel>): Promise<void> {
    const { dimensions } = await this.#modelOf(input);
    await this.indexes.ensure({ ...input, dimensions });
  }

  /** Documents may be added at any time: missing vectors are made, then the check is repeated while the row lock prevents new chunks. */
  @SagaStep({ order: 3, compensate: false, pivot: true })
  async swap({ input, signal }: SagaContext<ChangeModel>): Promise<void> {
    const model = await this.#modelOf(input);
    do {
      signal.throwIfAborted();
      await this.#fill(input, model, signal);
    } while (!(await this.#swapIfComplete(input)));
  }

  @SagaStep({ order: 4, compensate: false })
  async dropOld({ input, signal }: SagaContext<ChangeModel>): Promise<void> {
    const { rows } = await this.sql.query<GenerationId>(
      `SELECT kb_id AS "kbId", generation FROM index_generations WHERE kb_id = $1 AND state = 'retired'`,
      [input.kbId],
    );
    for (const id of rows) {
      await this.#remove(id, signal);
      await this.sql.query('DELETE FROM index_generations WHERE kb_id = $1 AND generation = $2', [
        id.kbId,
        id.generation,
      ]);
    }
  }

  async #fill(id: GenerationId, model: ModelSpec, signal: AbortSignal): Promise<number> {
    let vectors = 0;
    for (let after = 0; ;) {
      signal.throwIfAborted();
      const chunks = await this.rows.missing(id, after);
      if (chunks.length === 0) return vectors;
      const texts = chunks.map(({ content }) => content);
      const made = await this.embedder.documents(model, texts, signal);
      await this.rows.add(id, chunks.map((chunk) => chunk.id), made.vectors); // prettier-ignore
      vectors += chunks.length;
      after = chunks.at(-1)!.id;
    }
  }

  /** A transaction that adds chunks holds a key share on the row of the knowledge base, and reads the generation from it. */
  async #swapIfComplete(id: GenerationId): Promise<boolean> {
    const { kbId, generation } = id;
    return this.sql.transaction(async (tx) => {
      await tx.query('SELECT 1 FROM databases WHERE id = $1 FOR UPDATE', [kbId]);
      if ((await this.rows.missing(id, 0, tx, 1)).length > 0) return false;
      await tx.query('UPDATE databases SET index_generation = $2, updated_at = now() WHERE id = $1', [
        kbId,
        generation,
      ]);
      await tx.query(
        `UPDATE index_generations SET state = CASE WHEN generation = $2 THEN 'live' ELSE 'retired' END
         WHERE kb_id = $1 AND state IN ('live', 'building')`,
        [kbId, generation],
      );
      return true;
    });
  }

  async #remove(id: GenerationId, signal: AbortSignal): Promise<void> {
    await this.indexes.drop(id);
    await this.rows.removeAll(id, signal);
  }

  /** @throws {SagaRejectedError} when the knowledge base was deleted */
  async #modelOf({ kbId, generation }: GenerationId): Promise<ModelSpec> {
    const { rows } = await this.sql.query<{ model: unknown }>(
      `SELECT g.model FROM index_generations g JOIN databases d ON d.id = g.kb_id
       WHERE g.kb_id = $1 AND g.generation = $2 AND d.deleted_at IS NULL`,
      [kbId, generation],
    );
    if (!rows[0]) throw new SagaRejectedError('the knowledge base is deleted');
    return modelSpecSchema.parse(rows[0].model);
  }
}
