import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { OnConfigChange } from '@yuxi/config-sync';
import { jitter, sleep, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingModels, modelFingerprint, type ModelSettings, type ModelSpec, specOf } from '@yuxi/embedding';
import { SagaService } from '@yuxi/saga';

import { HiddenChunks } from '../indexing/hidden-chunks.js';
import { CHANGE_MODEL, type ChangeModel } from '../sagas/change-model.types.js';
import { Generations } from './generations.js';
import { VectorIndexes } from './vector-index.js';

/** Milliseconds between two looks of a replica. */
const LOOK_EVERY = 60_000;
/** A model that could not be changed to is not tried again for so long. */
const FAILED_FOR = '1 hour';

interface Base {
  kbId: number;
  dbId: string;
  live: string | null;
  building: string | null;
  sagaId: string | null;
}

/** Brings all knowledge bases to the model of the settings, large ones to an index of their vectors, and removes what dead runs have left. */
@Injectable()
export class VectorUpkeep implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly stopping = new AbortController();
  private readonly logger = new Logger(VectorUpkeep.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly models: EmbeddingModels,
    private readonly generations: Generations,
    private readonly indexes: VectorIndexes,
    private readonly sagas: SagaService,
    private readonly hidden: HiddenChunks,
  ) {}

  onApplicationBootstrap(): void {
    void this.runNowAndThen();
  }

  onModuleDestroy(): void {
    this.stopping.abort();
  }

  /** What was missed while the database or a provider was away, or while a change was under way. Any number of replicas may do it at once. */
  async run(): Promise<void> {
    await this.changeModels();
    await this.buildIndexes();
    await this.hidden.sweep(this.stopping.signal);
  }

  /** On every replica at once: the database decides who starts what. A failure must not keep the settings from being in force. */
  @OnConfigChange('model')
  onModelChange(settings: ModelSettings): void {
    this.changeModels(specOf(settings)).catch((error: unknown) =>
      this.logger.warn(`the change of model waits for the next minute: ${(error as Error).message}`),
    );
  }

  /** Starts what leads to the model, by default that of the settings, and cancels what leads elsewhere. */
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
             AND failed.fingerprint = $1 AND failed.created_at > now() - interval '${FAILED_FOR}')))
       ORDER BY d.id`,
      [wanted],
    );
    for (const base of rows) {
      if (base.building === null) await this.open(base, model);
      else if (base.sagaId !== null) await this.sagas.cancel(base.sagaId).catch(() => undefined);
    }
  }

  /** @returns the saga, or `undefined` when somebody else was faster */
  private async open({ kbId, dbId }: Base, model: ModelSpec): Promise<string | undefined> {
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
      // Their numbers are passed by now, and nobody waits for their hour to be over.
      await tx.query(
        `DELETE FROM index_generations WHERE kb_id = $1 AND state = 'failed' AND created_at <= now() - interval '${FAILED_FOR}'`,
        [kbId],
      );
      const input: ChangeModel = { kbId, dbId, generation };
      const { id } = await this.sagas.start(CHANGE_MODEL, input, { key: `${dbId} ${generation}` }, tx);
      await tx.query('UPDATE index_generations SET saga_id = $3 WHERE kb_id = $1 AND generation = $2', [
        kbId,
        generation,
        id,
      ]);
      this.logger.log(`${dbId}: generation ${generation} with the model ${model.model}`);
      return id;
    });
  }

  /** Gives each large generation that answers its index of vectors. */
  async buildIndexes(): Promise<void> {
    if (!this.generations.possible) return;
    await this.indexes.dropUnused();
    for (const id of await this.indexes.missing()) await this.indexes.ensure(id);
  }

  private async runNowAndThen(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await sleep(jitter(LOOK_EVERY), signal);
      if (signal.aborted) return;
      // A database that is away has been told of elsewhere.
      await this.run().catch((error: unknown) => this.logger.debug(`looking at vectors: ${(error as Error).message}`));
    }
  }
}
