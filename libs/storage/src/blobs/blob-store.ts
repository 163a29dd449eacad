import type { Content } from './spool.js';

export interface StoredBlob {
  /** SHA-256 of the content, 64 hex digits. */
  hash: string;
  /** Bytes. */
  size: number;
}

/** File contents, addressed by their own hash: equal content is kept once. */
export interface BlobStore {
  /** Stores `content` whole or not at all. Equal content is a no-op that answers the same. A {@link Spool} stays open. */
  put(content: Content): Promise<StoredBlob>;
  /** @throws {BlobNotFoundError} */
  get(hash: string): Promise<Buffer>;
  /** The content in pieces of at most 1 MiB. The first step throws {@link BlobNotFoundError} where there is none. */
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
