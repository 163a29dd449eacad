import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { EmbeddingModels, modelFingerprint, type ModelSpec, modelSpecSchema } from '@yuxi/embedding';
import { StorageInfo } from '@yuxi/storage';

/** Which vectors a knowledge base answers with. */
export interface Generation {
  /** `databases.index_generation`. */
  number: number;
  /** What made them; `null` where there are no vectors. */
  model: ModelSpec | null;
}

/** What is live now. */
@Injectable()
export class Generations {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(StorageInfo) private readonly storage: StorageInfo,
    private readonly models: EmbeddingModels,
  ) {}

  /** Whether this database can keep vectors. */
  get possible(): boolean {
    return this.storage.vector;
  }

  /** Columns of `index_generations` for the first generation of a new knowledge base, or `null` without vectors. */
  first(): { model: string; fingerprint: string } | null {
    if (!this.possible) return null;
    const model = this.models.current();
    return { model: JSON.stringify(model), fingerprint: modelFingerprint(model) };
  }

  /** @returns `undefined` when the knowledge base is gone */
  async live(kbId: number): Promise<Generation | undefined> {
    const { rows } = await this.sql.query<Generation>(
      `SELECT d.index_generation AS number, g.model FROM databases d
       LEFT JOIN index_generations g ON g.kb_id = d.id AND g.generation = d.index_generation
       WHERE d.id = $1 AND d.deleted_at IS NULL`,
      [kbId],
    );
    return rows[0] && this.readable(rows[0]);
  }

  /** Models that searches need now or will soon, one for each name; that of the settings is the first. */
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

  /** A database whose extension went away has vectors that nobody can read. */
  readable({ number, model }: Generation): Generation {
    return { number, model: this.possible ? model : null };
  }
}
