import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import type { FileStatus } from '@yuxi/storage';

import type { Generation } from '../vectors/generations.js';

/** What a run needs to know about its file. */
export interface FileState {
  /** `files.id`. */
  id: number;
  kbId: number;
  fileId: string;
  filename: string;
  type: string;
  status: FileStatus;
  contentHash: string;
  /** Bytes as uploaded. */
  size: number;
  /** The file has markdown. */
  parsed: boolean;
  fingerprint: string | null;
  /** Parameters stored with the file. */
  params: Record<string, unknown>;
  /** Parameters of the database. */
  databaseParams: Record<string, unknown>;
  generation: Generation;
  /** Version of the analyzer that made its postings. */
  analyzer: string | null;
  /** Number of chunks in its index. */
  chunkCount: number;
  /** A run has claimed the file, or has died before it ended its claim. */
  claimed: boolean;
  /** Task of the last claim; null outside of tasks. */
  claimedBy: string | null;
}

/** Reads files for indexing. */
@Injectable()
export class FileStates {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /** @returns `undefined` when the file or its knowledge base was deleted */
  async read(dbId: string, fileId: string): Promise<FileState | undefined> {
    const { rows } = await this.sql.query<FileState>(
      `SELECT f.id, f.kb_id AS "kbId", f.file_id AS "fileId", f.filename, f.type, f.status, f.content_hash AS "contentHash",
         f.size::float8 AS size, f.markdown IS NOT NULL AS parsed, f.chunk_count AS "chunkCount", f.fingerprint, f.params, d.additional_params AS "databaseParams",
         jsonb_build_object('number', d.index_generation, 'model', g.model) AS generation, f.analyzer,
         f.claim_until IS NOT NULL AS claimed, f.claimed_by AS "claimedBy"
       FROM files f JOIN databases d ON d.id = f.kb_id
       LEFT JOIN index_generations g ON g.kb_id = d.id AND g.generation = d.index_generation
       WHERE d.deleted_at IS NULL AND d.db_id = $1 AND f.file_id = $2`,
      [dbId, fileId],
    );
    return rows[0];
  }

  /** The result of parsing; `null` before. */
  async markdown({ id }: Pick<FileState, 'id'>): Promise<string | null> {
    const { rows } = await this.sql.query<{ markdown: string | null }>('SELECT markdown FROM files WHERE id = $1', [
      id,
    ]);
    return rows[0]?.markdown ?? null;
  }
}
