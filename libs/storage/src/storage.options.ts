import { OptionsError, toMs, type Duration, type Migration } from '@yuxi/core';

export interface StorageOptions {
  /** `postgres://…`. Without it the embedded PGlite is used. */
  databaseUrl?: string;
  /** PGlite keeps its files in `<dataDir>/pg`. Without it everything is in memory and lost at exit. */
  dataDir?: string;
  /**
   * Called before PGlite makes the files of a new database, with their folder, which takes 1 to 20 s. What it returns is called when they
   * are made, or could not be.
   */
  onCreate?: (folder: string) => () => void;
  /**
   * Room of the file system of `dataDir` below which PGlite stores no new content, bytes: `STORAGE_FULL`. Default: a tenth of the file
   * system, at least 64 MB and at most 256 MB.
   */
  minFree?: number;
  /** Connections to PostgreSQL, 1..1000. Default 10. PGlite has one. */
  poolSize?: number;
  /** Longest run of one statement on PostgreSQL. Default: no limit. */
  statementTimeout?: Duration;
  /** How long the boot waits for a PostgreSQL that is not up yet. Default 30 s; 0 tries once. */
  startupWait?: Duration;
  /**
   * Start without a PostgreSQL that is not up by then: calls fail with `DATABASE_UNAVAILABLE` until it is there and has its
   * schema. What waiting cannot cure (a wrong password, no such database) still fails the start. Default `false`.
   */
  startWithout?: boolean;
  /** Longest wait for a connection, whether to the server or for a free one of the pool. Default 10 s. */
  connectTimeout?: Duration;
  /** Schemas of other libraries, applied after the product's own, in the order given. */
  migrations?: readonly Migration[];
  /** How long the boot tries again and again to get the locks of tables that a migration changes. Default 30 s; 0 tries once. */
  migrationWait?: Duration;
}

export const MIGRATION_WAIT = 30_000;

export interface ResolvedStorageOptions {
  databaseUrl?: string;
  dataDir?: string;
  onCreate?: (folder: string) => () => void;
  minFree?: number;
  poolSize: number;
  /** Milliseconds; 0 = no limit. */
  statementTimeout: number;
  startupWait: number;
  startWithout: boolean;
  connectTimeout: number;
  migrations: readonly Migration[];
  migrationWait: number;
}

/** @throws {OptionsError} naming the option that breaks its rule. */
export function resolveStorageOptions(options: StorageOptions): ResolvedStorageOptions {
  const {
    databaseUrl,
    dataDir,
    onCreate,
    minFree,
    poolSize = 10,
    statementTimeout = 0,
    migrations = [],
    startWithout = false,
  } = options;
  // The URL may hold a password, so the error must not repeat it.
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(databaseUrl))
    throw new OptionsError('databaseUrl', 'a postgres:// URL', undefined);
  if (!Number.isInteger(poolSize) || poolSize < 1 || poolSize > 1000)
    throw new OptionsError('poolSize', 'an integer 1..1000', poolSize);
  return {
    databaseUrl,
    dataDir,
    onCreate,
    minFree,
    poolSize,
    statementTimeout: toMs('statementTimeout', statementTimeout, { min: 0 }),
    startupWait: toMs('startupWait', options.startupWait ?? '30s', { min: 0 }),
    startWithout,
    connectTimeout: toMs('connectTimeout', options.connectTimeout ?? '10s'),
    migrations,
    migrationWait: toMs('migrationWait', options.migrationWait ?? MIGRATION_WAIT, { min: 0 }),
  };
}
