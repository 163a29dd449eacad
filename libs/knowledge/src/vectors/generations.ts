import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingModels, modelFingerprint, type ModelSpec, modelSpecSchema } from '@yuxi/embedding';
import { StorageInfo } from '@yuxi/storage';

/** The vectors that a knowledge base uses for searches. */
export interface Generation {
  /** `databases.index_generation`. */
  number: number;
  /** The model that made them; `null` when there are no vectors. */
  model: ModelSpec | null;
}

/** Reads the live generation of knowledge bases. */
@Injectable()
export class Generations {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(StorageInfo) private readonly storage: StorageInfo,
    private readonly models: EmbeddingModels,
  ) {}

  /** Whether this database can store vectors. */
  get possible(): boolean {
    return this.storage.vector;
  }

  /** Columns of `index_generations` for the first generation of a new knowledge base; `null` without vectors. */
  first(): { model: string; fingerprint: string } | null {
    if (!this.possible) return null;
    const model = this.models.current();
    return { model: JSON.stringify(model), fingerprint: modelFingerprint(model) };
  }

  /** @returns `undefined` when the knowledge base was deleted */
  async live(kbId: number): Promise<Generation | undefined> {
    const { rows } = await this.sql.query<Generation>(
      `SELECT d.index_generation AS number, g.model FROM databases d
       LEFT JOIN index_generations g ON g.kb_id = d.id AND g.generation = d.index_generation
       WHERE d.id = $1 AND d.deleted_at IS NULL`,
      [kbId],
    );
    return rows[0] && this.readable(rows[0]);
  }

  /** Models that searches use now or will use soon, one for each name. The model of the settings is the first. */
  async modelsInUse(): Promise<ModelSpec[]> {
    const { rows } = await this.sql.query<{ model: unknown }>(
      `SELECT DISTINCT g.model FROM index_generations g JOIN databases d ON d.id = g.kb_id
       WHERE d.deleted_at IS NULL AND g.state IN ('live', 'building')`,
    );
    const byName = new Map<string, ModelSpec>();
    for (const spec of [this.models.current(), ...rows.map(({ model }) => modelSpecSchema.parse(model))])
      if (!byName.has(spec.model)) byName.set(spec.model, spec);
    return [...byName.values()];
  }

  /** Without the extension pgvector existing vectors cannot be read. */
  readable({ number, model }: Generation): Generation {
    return { number, model: this.possible ? model : null };
  }
}

/** Rows of one statement. */
const VECTOR_BATCH = 256;

export interface GenerationId {
  kbId: number;
  generation: number;
}

export interface ChunkText {
  /** `chunks.id`. */
  id: number;
  content: string;
}

/** Reads and writes the vectors of a generation. */
@Injectable()
export class VectorRows {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /** Chunks that have no vector of the generation, by id. @param after last id of the batch before */
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

  /** Adds vectors to chunks that still exist and have none. */
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

  /** Removes all, in batches: short transactions do not delay others. */
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
