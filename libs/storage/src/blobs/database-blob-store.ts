import { isForeignKeyViolation, type SqlClient } from '@yuxi/core';
import { BlobInUseError, BlobNotFoundError } from '../storage.errors.js';
import type { BlobStore, StoredBlob } from './blob-store.js';
import { PART, Spool } from './spool.js';

/** Blobs in the tables `blobs` and `blob_parts`, so that replicas share them without a further service. */
export class DatabaseBlobStore implements BlobStore {
  constructor(private readonly sql: SqlClient) {}

  async put(content: AsyncIterable<Uint8Array> | Uint8Array): Promise<StoredBlob> {
    const spool = await Spool.from(content);
    try {
      const { hash, size } = spool;
      if (size > 0 && size <= PART) await this.putWhole(spool);
      else await this.putParts(spool);
      return { hash, size };
    } finally {
      await spool.close();
    }
  }

  /** Most files fit into one part: one statement instead of a transaction of four. */
  private async putWhole(spool: Spool): Promise<void> {
    for await (const content of spool.parts())
      await this.sql.query(
        `WITH added AS (INSERT INTO blobs (hash, size) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING hash)
         INSERT INTO blob_parts (hash, seq, content) SELECT hash, 0, $3::bytea FROM added`,
        [spool.hash, spool.size, content],
      );
  }

  private async putParts(spool: Spool): Promise<void> {
    await this.sql.transaction(async (tx) => {
      // A second writer of the same content waits here for the first one to commit, and then has nothing to do.
      const taken = await tx.query(
        'INSERT INTO blobs (hash, size) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1',
        [spool.hash, spool.size],
      );
      if (taken.rows.length === 0) return;
      let seq = 0;
      for await (const part of spool.parts())
        await tx.query('INSERT INTO blob_parts (hash, seq, content) VALUES ($1, $2, $3)', [spool.hash, seq++, part]);
    });
  }

  async get(hash: string): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.read(hash)) parts.push(part);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  async *read(hash: string): AsyncIterable<Buffer> {
    const { rows } = await this.sql.query<{ size: number; content: Buffer | null }>(
      'SELECT b.size, p.content FROM blobs b LEFT JOIN blob_parts p ON p.hash = b.hash AND p.seq = 0 WHERE b.hash = $1',
      [hash],
    );
    if (!rows[0]) throw new BlobNotFoundError(hash);
    const { size, content } = rows[0];
    if (content) yield content;
    for (let seq = 1, read = content?.length ?? 0; read < size; seq++) {
      const part = await this.part(hash, seq);
      read += part.length;
      yield part;
    }
  }

  async has(hash: string): Promise<boolean> {
    return (await this.sql.query('SELECT 1 FROM blobs WHERE hash = $1', [hash])).rows.length > 0;
  }

  async delete(hash: string): Promise<boolean> {
    try {
      return (await this.sql.query('DELETE FROM blobs WHERE hash = $1 RETURNING 1', [hash])).rows.length > 0;
    } catch (error) {
      if (isForeignKeyViolation(error)) throw new BlobInUseError(hash);
      throw error;
    }
  }

  private async part(hash: string, seq: number): Promise<Buffer> {
    const { rows } = await this.sql.query<{ content: Buffer }>(
      'SELECT content FROM blob_parts WHERE hash = $1 AND seq = $2',
      [hash, seq],
    );
    // Gone between two parts: deleted while it was read.
    if (!rows[0]) throw new BlobNotFoundError(hash);
    return rows[0].content;
  }
}
