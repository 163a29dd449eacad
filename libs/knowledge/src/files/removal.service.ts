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
   * Large indexes are removed first, in small steps; the rest follows in one transaction. An indexing run of a removed file cannot commit,
   * because its row does not exist any more.
   * @returns the ids of the files that existed.
   */
  async remove(kbId: number, fileIds: readonly string[]): Promise<Set<string>> {
    await this.hidden.removeLargeIndexes(kbId, fileIds);
    return this.sql.transaction(async (tx) => {
      // The order prevents deadlocks between two deletions of the same files.
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
 * Deletes those contents that no file uses any more, in the transaction that removed the files.
 *
 * A separate statement locks the rows first. An upload of equal content holds a key share on the row from its insert to its commit.
 * The second statement therefore sees the file of that upload. The order of the locks prevents deadlocks.
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
