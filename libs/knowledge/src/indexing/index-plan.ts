import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { ANALYZER_VERSION } from '../text/index.js';
import type { Generation } from '../vectors/generations.js';
import type { FileState } from './file-state.js';
import type { PreparedChunk } from './prepare.js';

/** What a new index has of the one before. */
export interface IndexPlan {
  /** Not in the database yet. */
  fresh: PreparedChunk[];
  /** There already, with postings and vector; only their places may change. */
  kept: PreparedChunk[];
}

/** Finds out what of a file need not be made again. */
@Injectable()
export class IndexPlanner {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  async plan(file: FileState, generation: Generation, chunks: readonly PreparedChunk[]): Promise<IndexPlan> {
    // Chunks of other rules have other postings.
    const known = file.analyzer === ANALYZER_VERSION ? await this.#usable(file.id, generation) : new Set<string>();
    const kept = chunks.filter(({ chunkId }) => known.has(chunkId));
    return { kept, fresh: chunks.filter(({ chunkId }) => !known.has(chunkId)) };
  }

  async #usable(fileId: number, { number, model }: Generation): Promise<Set<string>> {
    const { rows } = await this.sql.query<{ chunk_id: string }>(
      `SELECT c.chunk_id FROM chunks c
       ${model ? 'JOIN chunk_vectors v ON v.chunk_id = c.id AND v.generation = $2' : ''} WHERE c.file_id = $1`,
      model ? [fileId, number] : [fileId],
    );
    return new Set(rows.map((row) => row.chunk_id));
  }
}
