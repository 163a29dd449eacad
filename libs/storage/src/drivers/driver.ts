import type { SqlClient } from '@yuxi/core';
import type { Database } from '../database.js';

/** A {@link SqlClient} that can also run a script of several statements without parameters. */
export interface ScriptClient extends SqlClient {
  script(text: string): Promise<void>;
  transaction<T>(body: (tx: ScriptClient) => Promise<T>): Promise<T>;
}

/** An open database. */
export interface StorageDriver {
  readonly kind: 'postgres' | 'pglite';
  readonly sql: ScriptClient;
  readonly db: Database;
  close(): Promise<void>;
}

/** Injection token of the {@link StorageDriver}; use `DATABASE` or `SQL_CLIENT` instead wherever they are enough. */
export const STORAGE_DRIVER = Symbol.for('@yuxi/storage:Driver');
