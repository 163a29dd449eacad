import type { SqlClient } from '@yuxi/core';

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
