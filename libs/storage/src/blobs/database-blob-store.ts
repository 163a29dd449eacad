import { randomUUID } from 'node:crypto';
import { isForeignKeyViolation, type SqlClient } from '@yuxi/core';
import { BlobInUseError, BlobNotFoundError } from '../storage.errors.js';
import type { StorageSpace } from '../disk-space.js';
import type { BlobStore, StoredBlob } from './blob-store.js';
import { type Content, PART, Spool } from './spool.js';

/** Before the hash of a content whose parts are not all there; hexadecimal digits come before it in any order of characters. */
const PENDING = 'pending:';
const PENDING_END = 'pending;';
/** After this time whoever was storing it is gone. */
const ABANDONED = '1 hour';

/** Blobs in the tables `blobs` and `blob_parts`, so that replicas share them without a further service. */
export class DatabaseBlobStore implements BlobStore {
  /** @param space asked before a content is stored; default: it is always tried */
  constructor(
    private readonly sql: SqlClient,
    private readonly space?: StorageSpace,
  ) {}

  put(content: Content): Promise<StoredBlob> {
    return Spool.lend(content, {}, async (spool) => {
      const { hash, size } = spool;
      const stored = await this.space?.take(size);
      try {
        if (size <= PART) await this.putWhole(spool);
        else if (!(await this.has(hash))) await this.putParts(spool);
      } finally {
        stored?.();
      }
      return { hash, size };
    });
  }

  /** Most files fit into one part: one statement. */
  private async putWhole(spool: Spool): Promise<void> {
    for await (const content of spool.parts())
      await this.sql.query(
        `WITH added AS (INSERT INTO blobs (hash, size) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING hash)
         INSERT INTO blob_parts (hash, seq, content) SELECT hash, 0, $3::bytea FROM added`,
        [spool.hash, spool.size, content],
      );
    if (spool.size === 0)
      await this.sql.query('INSERT INTO blobs (hash, size) VALUES ($1, 0) ON CONFLICT DO NOTHING', [spool.hash]);
  }

  /**
   * Each part is a statement of its own, because a transaction around all of them would hold the one session of PGlite for seconds. They
   * wait under a name that nobody asks for, and get the hash in one statement, which moves no content.
   */
  private async putParts(spool: Spool): Promise<void> {
    const pending = `${PENDING}${randomUUID()}`;
    // Also what processes have left that were killed meanwhile.
    await this.sql.query(
      `WITH left_over AS (
         DELETE FROM blobs WHERE hash > $2 AND hash < $3 AND created_at < now() - interval '${ABANDONED}')
       INSERT INTO blobs (hash, size) VALUES ($1, $4)`,
      [pending, PENDING, PENDING_END, spool.size],
    );
    try {
      let seq = 0;
      for await (const part of spool.parts())
        await this.sql.query('INSERT INTO blob_parts (hash, seq, content) VALUES ($1, $2, $3)', [pending, seq++, part]);
      await this.sql.query(
        `WITH added AS (INSERT INTO blobs (hash, size) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING hash)
         UPDATE blob_parts p SET hash = added.hash FROM added WHERE p.hash = $3`,
        [spool.hash, spool.size, pending],
      );
    } finally {
      // Without parts by now, or with those of a writer that failed or was not the first.
      await this.sql.query('DELETE FROM blobs WHERE hash = $1', [pending]).catch(() => undefined);
    }
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
