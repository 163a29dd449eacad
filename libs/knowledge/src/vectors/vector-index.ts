import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { WithLock } from '@yuxi/lock';

import { ofGeneration } from '../search/search.sql.js';
import type { GenerationId } from './generations.js';

/**
 * Up to this number the vectors of a generation are compared one by one, which is exact and as fast as an index. A larger generation has
 * an index of its own (HNSW).
 */
const EXACT_UP_TO = 10_000;
/** Injection token of the limit in use: {@link EXACT_UP_TO}, or a smaller number in tests. `undefined`: no index is ever built. */
export const EXACT_LIMIT = Symbol('EXACT_LIMIT');

/**
 * The embedded database has no vector indexes. It has one connection. There, the build of an index takes minutes, and each vector that is
 * added later takes about 30 ms. All other statements wait meanwhile.
 */
export function exactLimitOf({ threads }: Pick<SqlClient, 'threads'>): number | undefined {
  return threads === undefined ? undefined : EXACT_UP_TO;
}

/** Links of each vector, and candidates while the index is built. Higher values find more and take longer to build. */
const HNSW = { m: 24, ef_construction: 128 };

function vectorIndexName({ kbId, generation }: GenerationId): string {
  return `chunk_vectors_kb${kbId}_g${generation}`;
}

/** Vector indexes, one for each large generation. */
@Injectable()
export class VectorIndexes {
  readonly #logger = new Logger(VectorIndexes.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(EXACT_LIMIT) private readonly exactUpTo: number | undefined,
  ) {}

  /** Builds the index if there are enough vectors and no index yet. Searches and writes continue during the build. */
  async ensure(id: GenerationId & { dimensions: number }): Promise<void> {
    if (this.exactUpTo === undefined) return;
    const { rows } = await this.sql.query<{ count: number; has_index: boolean }>(
      `SELECT has_index, (SELECT count(*)::int FROM (
           SELECT 1 FROM chunk_vectors v WHERE v.kb_id = $1 AND v.generation = $2 LIMIT $3) few) AS count
       FROM index_generations WHERE kb_id = $1 AND generation = $2`,
      [id.kbId, id.generation, this.exactUpTo + 1],
    );
    if (rows[0] && !rows[0].has_index && rows[0].count > this.exactUpTo) await this.build(id);
  }

  /** Live generations that need an index and have none. */
  async missing(): Promise<(GenerationId & { dimensions: number })[]> {
    if (this.exactUpTo === undefined) return [];
    const { rows } = await this.sql.query<GenerationId & { dimensions: number }>(
      `SELECT g.kb_id AS "kbId", g.generation, (g.model->>'dimensions')::int AS dimensions
       FROM index_generations g JOIN databases d ON d.id = g.kb_id
       WHERE g.state = 'live' AND NOT g.has_index AND d.deleted_at IS NULL
         AND (SELECT sum(f.chunk_count) FROM files f WHERE f.kb_id = d.id) > $1`,
      [this.exactUpTo],
    );
    return rows;
  }

  /** Drops the indexes that an earlier version has built in the embedded database. */
  async dropUnused(): Promise<void> {
    if (this.exactUpTo !== undefined) return;
    const { rows } = await this.sql.query<GenerationId>(
      'SELECT kb_id AS "kbId", generation FROM index_generations WHERE has_index',
    );
    for (const id of rows) {
      await this.drop(id);
      await this.sql.query('UPDATE index_generations SET has_index = false WHERE kb_id = $1 AND generation = $2', [
        id.kbId,
        id.generation,
      ]);
    }
  }

  async drop(id: GenerationId): Promise<void> {
    await this.sql.query(`DROP INDEX CONCURRENTLY IF EXISTS ${vectorIndexName(id)}`);
  }

  /** Called by {@link ensure}: one process at a time builds an index, the others skip it. */
  @WithLock(([id]: readonly [GenerationId, ...unknown[]]) => vectorIndexName(id), { wait: false, onBusy: 'skip' })
  async build(id: GenerationId & { dimensions: number }): Promise<void> {
    const name = vectorIndexName(id);
    const start = monotonicMs();
    // An interrupted build leaves an invalid index of this name.
    await this.drop(id);
    await this.sql.query(
      `CREATE INDEX CONCURRENTLY ${name} ON chunk_vectors
       USING hnsw ((embedding::halfvec(${id.dimensions})) halfvec_ip_ops)
       WITH (m = ${HNSW.m}, ef_construction = ${HNSW.ef_construction}) WHERE ${ofGeneration(id)}`,
    );
    await this.sql.query('UPDATE index_generations SET has_index = true WHERE kb_id = $1 AND generation = $2', [
      id.kbId,
      id.generation,
    ]);
    this.#logger.log(`${name} built in ${Math.round((monotonicMs() - start) / 1000)} s`);
  }
}
