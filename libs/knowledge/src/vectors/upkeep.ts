import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { OnConfigChange } from '@yuxi/config-sync';
import { Periodic, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingModels, modelFingerprint, type ModelSettings, type ModelSpec, specOf } from '@yuxi/embedding';
import { SagaService } from '@yuxi/saga';

import { HiddenChunks } from '../indexing/hidden-chunks.js';
import { CHANGE_MODEL, type ChangeModel } from '../sagas/change-model.saga.js';
import { Generations } from './generations.js';
import { VectorIndexes } from './vector-index.js';

/** Milliseconds between two runs of a replica. */
const RUN_EVERY = 60_000;
/** Pause after a failed change to a model, before the same change is tried again. */
const RETRY_AFTER = '1 hour';

interface Base {
  kbId: number;
  dbId: string;
  live: string | null;
  building: string | null;
  sagaId: string | null;
}

/**
 * Periodic maintenance of knowledge bases. It starts changes to the model of the settings, builds missing vector indexes, and removes the
 * chunks of indexing runs that died. Any number of replicas may run it at the same time, because the database decides.
 */
@Injectable()
export class VectorUpkeep implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #logger = new Logger(VectorUpkeep.name);
  readonly #periodic = new Periodic((signal) => this.run(signal), {
    every: RUN_EVERY,
    // Only for debugging: an unavailable database is reported elsewhere.
    onError: (error) => this.#logger.debug(`maintenance of vectors failed: ${(error as Error).message}`),
  });

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly models: EmbeddingModels,
    private readonly generations: Generations,
    private readonly indexes: VectorIndexes,
    private readonly sagas: SagaService,
    private readonly hidden: HiddenChunks,
  ) {}

  onApplicationBootstrap(): void {
    this.#periodic.start();
  }

  onModuleDestroy(): void {
    void this.#periodic.stop();
  }

  /** Also does what was missed while the database or a provider was unavailable. */
  async run(signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.changeModels();
    await this.buildIndexes();
    await this.hidden.sweep(signal);
  }

  /** Runs on every replica. The new settings take effect also when this fails. */
  @OnConfigChange('model')
  onModelChange(settings: ModelSettings): void {
    this.changeModels(specOf(settings)).catch((error: unknown) =>
      this.#logger.warn(
        `a change of the embedding model could not be started and is tried again within a minute: ${(error as Error).message}`,
      ),
    );
  }

  /** Starts changes to the model, by default that of the settings, and cancels changes to other models. */
  async changeModels(model = this.models.current()): Promise<void> {
    if (!this.generations.possible) return;
    const wanted = modelFingerprint(model);
    const { rows } = await this.sql.query<Base>(
      `SELECT d.id AS "kbId", d.db_id AS "dbId", live.fingerprint AS live, building.fingerprint AS building,
         building.saga_id AS "sagaId"
       FROM databases d
       LEFT JOIN index_generations live ON live.kb_id = d.id AND live.generation = d.index_generation
       LEFT JOIN index_generations building ON building.kb_id = d.id AND building.state = 'building'
       WHERE d.deleted_at IS NULL AND (
         (building.fingerprint IS NOT NULL AND building.fingerprint <> $1)
         OR (building.fingerprint IS NULL AND live.fingerprint IS DISTINCT FROM $1 AND NOT EXISTS (
           SELECT 1 FROM index_generations failed WHERE failed.kb_id = d.id AND failed.state = 'failed'
             AND failed.fingerprint = $1 AND failed.created_at > now() - interval '${RETRY_AFTER}')))
       ORDER BY d.id`,
      [wanted],
    );
    for (const base of rows) {
      if (base.building === null) await this.#startChange(base, model);
      else if (base.sagaId !== null) await this.sagas.cancel(base.sagaId).catch(() => undefined);
    }
  }

  /** @returns the saga, or `undefined` when another replica has started one */
  async #startChange({ kbId, dbId }: Base, model: ModelSpec): Promise<string | undefined> {
    return this.sql.transaction(async (tx) => {
      await tx.query('SELECT 1 FROM databases WHERE id = $1 FOR UPDATE', [kbId]);
      const { rows } = await tx.query<{ generation: number }>(
        `INSERT INTO index_generations (kb_id, generation, model, fingerprint, state)
         SELECT d.id, greatest(d.index_generation, (SELECT max(generation) FROM index_generations WHERE kb_id = d.id)) + 1,
           $2::jsonb, $3, 'building'
         FROM databases d WHERE d.id = $1 AND d.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM index_generations b WHERE b.kb_id = d.id AND b.state = 'building')
         RETURNING generation`,
        [kbId, JSON.stringify(model), modelFingerprint(model)],
      );
      if (!rows[0]) return undefined;
      const { generation } = rows[0];
      // Failed generations only delay a retry, and their time is over.
      await tx.query(
        `DELETE FROM index_generations WHERE kb_id = $1 AND state = 'failed' AND created_at <= now() - interval '${RETRY_AFTER}'`,
        [kbId],
      );
      const input: ChangeModel = { kbId, dbId, generation };
      const { id } = await this.sagas.start(CHANGE_MODEL, input, { key: `${dbId} ${generation}` }, tx);
      await tx.query('UPDATE index_generations SET saga_id = $3 WHERE kb_id = $1 AND generation = $2', [
        kbId,
        generation,
        id,
      ]);
      this.#logger.log(`${dbId}: generation ${generation} with the model ${model.model} is being built`);
      return id;
    });
  }

  /** Builds the missing vector indexes of live generations. */
  async buildIndexes(): Promise<void> {
    if (!this.generations.possible) return;
    await this.indexes.dropUnused();
    for (const id of await this.indexes.missing()) await this.indexes.ensure(id);
  }
}
