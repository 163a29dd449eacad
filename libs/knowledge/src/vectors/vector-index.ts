import { Inject, Injectable, Logger } from '@nestjs/common';
import { monotonicMs, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { WithLock } from '@yuxi/lock';

import { ofGeneration } from '../search/near.sql.js';
import type { GenerationId } from './vector-rows.js';

/**
 * Up to so many vectors of a generation are compared one by one: exact, and as quick as an index would be. Beyond, there is an
 * index (HNSW) for each generation.
 */
export const EXACT_UP_TO = 10_000;
/** Injection token of the largest number of vectors without an index; `undefined`: there are no indexes. */
export const EXACT_LIMIT = Symbol('EXACT_LIMIT');

/**
 * The embedded database has one connection, so that a build of minutes, and some 30 ms for each vector added later, would hold up all
 * other statements. It has no indexes: an exact search takes some 3 ms per 1,000 vectors there.
 */
export function exactLimitOf({ threads }: Pick<SqlClient, 'threads'>): number | undefined {
  return threads === undefined ? undefined : EXACT_UP_TO;
}
/** Links of a vector and candidates while the index is built: more find more, and take longer to build. */
const HNSW = { m: 24, ef_construction: 128 };

export function vectorIndexName({ kbId, generation }: GenerationId): string {
  return `chunk_vectors_kb${kbId}_g${generation}`;
}

/** Indexes of vectors, one for each large generation. */
@Injectable()
export class VectorIndexes {
  private readonly logger = new Logger(VectorIndexes.name);

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    @Inject(EXACT_LIMIT) private readonly exactUpTo: number | undefined,
  ) {}

  /** Builds the index where there are enough vectors and none is there; searches and writes go on meanwhile. */
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

  /** Generations that answer and are too large to go without. */
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

  /** Drops the indexes of a database that has none any more. */
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

  @WithLock(([id]: readonly [GenerationId, ...unknown[]]) => vectorIndexName(id), { wait: false, onBusy: 'skip' })
  private async build(id: GenerationId & { dimensions: number }): Promise<void> {
    const name = vectorIndexName(id);
    const start = monotonicMs();
    // What an interrupted build left behind is there by name, and of no use.
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
    this.logger.log(`${name} built in ${Math.round((monotonicMs() - start) / 1000)} s`);
  }
}
