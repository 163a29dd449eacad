import type { SqlClient, SqlNotifications, TransactionOptions } from '@yuxi/core';
import type { Database } from '../database.js';
import type { StorageSpace } from '../disk-space.js';

/** A {@link SqlClient} that can also run a script of several statements without parameters. */
export interface ScriptClient extends SqlClient {
  script(text: string): Promise<void>;
  transaction<T>(body: (tx: ScriptClient) => Promise<T>, options?: TransactionOptions): Promise<T>;
}

/**
 * Candidates that a search by the index of vectors (pgvector) keeps, and so most rows that it finds. On 50,000 vectors of real text 100
 * find 0.98 of the nearest ten, 40 (its default) 0.92. To go on beyond them (`hnsw.iterative_scan`) would cost half as much again.
 */
export const HNSW_EF_SEARCH = 100;

/** Connections in the pool of one process. */
export interface PoolState {
  /** Busy and idle ones. */
  open: number;
  idle: number;
  /** Callers that wait for one. */
  waiting: number;
}

/** An open database. */
export interface StorageDriver {
  readonly kind: 'postgres' | 'pglite';
  readonly sql: ScriptClient;
  readonly db: Database;
  readonly notifications: SqlNotifications;
  readonly space: StorageSpace;
  /** Of a database with a pool; PGlite has none. */
  readonly connections?: () => PoolState;
  /** Resolves when the database can be used; until then every call throws a `DatabaseUnavailableError`. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

/** Injection token of the {@link StorageDriver}; use `DATABASE` or `SQL_CLIENT` instead wherever they are enough. */
export const STORAGE_DRIVER = Symbol.for('@yuxi/storage:Driver');
