import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import { HiddenChunks } from '../indexing/hidden-chunks.js';

/** Deletes files with everything made from them: chunks, postings, and contents that nothing else uses. */
@Injectable()
export class RemovalService {
  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly hidden: HiddenChunks,
  ) {}

  /**
   * All in one transaction, but for large indexes, which are taken away before it, in steps. Indexing under way finds its row gone when it
   * wants to commit, and leaves nothing.
   * @returns the ids that were there.
   */
  async remove(kbId: number, fileIds: readonly string[]): Promise<Set<string>> {
    await this.hidden.empty(kbId, fileIds);
    return this.sql.transaction(async (tx) => {
      // Ordered, so that two deletions of the same files do not wait for each other.
      const { rows } = await tx.query<{ id: number; file_id: string; content_hash: string }>(
        `SELECT id, file_id, content_hash FROM files WHERE kb_id = $1 AND file_id = ANY($2::text[])
         ORDER BY id FOR UPDATE`,
        [kbId, fileIds],
      );
      await tx.query('DELETE FROM files WHERE id = ANY($1::int[])', [rows.map((row) => row.id)]);
      await collectBlobs(tx, [...new Set(rows.map((row) => row.content_hash))]);
      return new Set(rows.map((row) => row.file_id));
    });
  }
}

/**
 * Deletes those of `hashes` that no file uses any more; inside the transaction that removed the files.
 *
 * The rows are locked by a statement of their own: an upload of equal content holds a key share on the row from its
 * insert to its commit, so the second statement, which sees everything committed before it began, finds that file.
 * The order keeps two collections from waiting for each other.
 */
export async function collectBlobs(tx: SqlClient, hashes: readonly string[]): Promise<void> {
  if (hashes.length === 0) return;
  await tx.query('SELECT 1 FROM blobs WHERE hash = ANY($1::text[]) ORDER BY hash FOR UPDATE', [hashes]);
  await tx.query(
    `DELETE FROM blobs b WHERE b.hash = ANY($1::text[])
       AND NOT EXISTS (SELECT 1 FROM files f WHERE f.content_hash = b.hash)`,
    [hashes],
  );
}
