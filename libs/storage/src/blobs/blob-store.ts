import { randomUUID } from 'node:crypto';
import { isForeignKeyViolation, type SqlClient } from '@yuxi/core';
import { BlobInUseError, BlobNotFoundError } from '../storage.errors.js';
import type { StorageSpace } from '../disk-space.js';
import { type Content, PART_BYTES, Spool } from './spool.js';

export interface StoredBlob {
  /** SHA-256 of the content, 64 hex digits. */
  hash: string;
  /** Bytes. */
  size: number;
}

/** File contents, addressed by their hash. Equal content is stored once. */
export interface BlobStore {
  /** Stores `content` whole or not at all. Does nothing when it is stored already. A {@link Spool} stays open. */
  put(content: Content): Promise<StoredBlob>;
  /** @throws {BlobNotFoundError} */
  get(hash: string): Promise<Buffer>;
  /** The content in parts of at most 1 MiB. The first step throws {@link BlobNotFoundError} when there is no such blob. */
  read(hash: string): AsyncIterable<Buffer>;
  has(hash: string): Promise<boolean>;
  /**
   * @returns whether there was something to delete
   * @throws {BlobInUseError} while a file refers to it
   */
  delete(hash: string): Promise<boolean>;
}

/** Injection token of the {@link BlobStore}. */
export const BLOB_STORE = Symbol.for('@yuxi/storage:BlobStore');

/** Prefix of the key under which parts are written until all are there. Hexadecimal digits sort before it in any collation. */
const PENDING = 'pending:';
const PENDING_END = 'pending;';
/** A write that is older than this has been abandoned. */
const ABANDONED_AFTER = '1 hour';

/** Blobs in the tables `blobs` and `blob_parts`, so that replicas share them without another service. */
export class DatabaseBlobStore implements BlobStore {
  /** @param space must have room before a content is stored; default: not checked */
  constructor(
    private readonly sql: SqlClient,
    private readonly space?: StorageSpace,
  ) {}

  put(content: Content): Promise<StoredBlob> {
    return Spool.use(content, {}, async (spool) => {
      const { hash, size } = spool;
      const release = await this.space?.reserve(size);
      try {
        if (size <= PART_BYTES) await this.#putWhole(spool);
        else if (!(await this.has(hash))) await this.#putParts(spool);
      } finally {
        release?.();
      }
      return { hash, size };
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
      const part = await this.#part(hash, seq);
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

  /** Most files fit into one part, and need one statement. */
  async #putWhole(spool: Spool): Promise<void> {
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
   * Writes each part in a statement of its own, because one transaction would block the only session of PGlite for seconds.
   * The parts are written under a temporary key. A last statement, which copies no content, replaces the key by the hash.
   */
  async #putParts(spool: Spool): Promise<void> {
    const pending = `${PENDING}${randomUUID()}`;
    // Also removes what processes have written that were killed before the last statement.
    await this.sql.query(
      `WITH left_over AS (
         DELETE FROM blobs WHERE hash > $2 AND hash < $3 AND created_at < now() - interval '${ABANDONED_AFTER}')
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
      // Has no parts any more; or still has them, when a write failed or another writer was first.
      await this.sql.query('DELETE FROM blobs WHERE hash = $1', [pending]).catch(() => undefined);
    }
  }

  async #part(hash: string, seq: number): Promise<Buffer> {
    const { rows } = await this.sql.query<{ content: Buffer }>(
      'SELECT content FROM blob_parts WHERE hash = $1 AND seq = $2',
      [hash, seq],
    );
    // Deleted between two parts.
    if (!rows[0]) throw new BlobNotFoundError(hash);
    return rows[0].content;
  }
}
