import { integerOption, OptionsError, toMs, type Duration, type Migration } from '@yuxi/core';

export interface StorageOptions {
  /** `postgres://…`. Without it the embedded PGlite is used. */
  databaseUrl?: string;
  /** PGlite stores its files in `<dataDir>/pg`. Without it everything is in memory, and lost when the process ends. */
  dataDir?: string;
  /**
   * Called with the folder before PGlite creates a new database, which takes 1 to 20 s. The function that it returns is called
   * afterwards, also when that failed.
   */
  onCreate?: (folder: string) => () => void;
  /**
   * With fewer free bytes on the file system of `dataDir`, PGlite refuses new content with `STORAGE_FULL`. At least 48 MB.
   * Default: a tenth of the file system, at least 64 MB and at most 256 MB.
   */
  minFree?: number;
  /** Connections to PostgreSQL, 1..1000. Default 10. PGlite has one. */
  poolSize?: number;
  /** Longest run of one statement on PostgreSQL. Default: no limit. */
  statementTimeout?: Duration;
  /** How long the start waits for a PostgreSQL that is unavailable. Default 30 s; 0 tries once. */
  startupWait?: Duration;
  /**
   * Start also when PostgreSQL is still unavailable after `startupWait`. Calls then fail with `DATABASE_UNAVAILABLE` until it is
   * available and has its schema. A wrong password or an unknown database still fails the start. Default `false`.
   */
  startWithout?: boolean;
  /** Longest wait for a connection, to the server or from the pool. Default 10 s. */
  connectTimeout?: Duration;
  /** Migrations of other libraries, applied in this order after those of this library. */
  migrations?: readonly Migration[];
  /** How long each migration tries to get the locks of its tables. Default 30 s; 0 tries once. */
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

/** @throws {OptionsError} naming the option that is not valid */
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
  return {
    databaseUrl,
    dataDir,
    onCreate,
    minFree,
    poolSize: integerOption('poolSize', poolSize, { max: 1000 }),
    statementTimeout: toMs('statementTimeout', statementTimeout, { min: 0 }),
    startupWait: toMs('startupWait', options.startupWait ?? '30s', { min: 0 }),
    startWithout,
    connectTimeout: toMs('connectTimeout', options.connectTimeout ?? '10s'),
    migrations,
    migrationWait: toMs('migrationWait', options.migrationWait ?? MIGRATION_WAIT, { min: 0 }),
  };
}
