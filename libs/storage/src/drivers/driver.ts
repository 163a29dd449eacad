import type { SqlNotifications } from '@yuxi/core';
import type { Database } from '../database.js';
import type { StorageSpace } from '../disk-space.js';
import type { ScriptClient } from './script-client.js';

/**
 * Number of candidates in a search by the vector index (pgvector), and so the most rows that it finds. With 50,000 vectors of
 * real text, 100 find 0.98 of the nearest ten, and 40 (the default of pgvector) find 0.92. A search beyond the candidates
 * (`hnsw.iterative_scan`) would take half as long again.
 */
export const HNSW_EF_SEARCH = 100;

/** Connections in the pool of one process. */
export interface PoolState {
  /** Busy and idle connections. */
  open: number;
  idle: number;
  /** Callers that wait for a connection. */
  waiting: number;
}

/** An open database. */
export interface StorageDriver {
  readonly kind: 'postgres' | 'pglite';
  readonly sql: ScriptClient;
  readonly db: Database;
  readonly notifications: SqlNotifications;
  readonly space: StorageSpace;
  /** State of the pool; PGlite has no pool. */
  readonly connections?: () => PoolState;
  /** Resolves when the database can be used. Until then every call throws a `DatabaseUnavailableError`. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

/** Injection token of the {@link StorageDriver}. Prefer `DATABASE` or `SQL_CLIENT` where they are enough. */
export const STORAGE_DRIVER = Symbol.for('@yuxi/storage:Driver');
