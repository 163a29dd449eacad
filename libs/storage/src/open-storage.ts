import type { StorageDriver } from './drivers/driver.js';
import { openPglite } from './drivers/pglite.driver.js';
import { openPostgres } from './drivers/postgres.driver.js';
import { storageMigrations } from './migrations/index.js';
import { migrate } from './migrator.js';
import { resolveStorageOptions, type StorageOptions } from './storage.options.js';

/**
 * Opens the database and migrates its schema; for scripts and tests without a Nest application.
 * The caller closes it.
 */
export async function openStorage(options: StorageOptions = {}): Promise<StorageDriver> {
  const { databaseUrl, ...resolved } = resolveStorageOptions(options);
  const migrations = [...storageMigrations, ...resolved.migrations];
  if (databaseUrl !== undefined) return openPostgres({ ...resolved, databaseUrl, migrations });
  const driver = await openPglite(resolved);
  try {
    await migrate(driver.sql, migrations, resolved.migrationWait);
    return driver;
  } catch (error) {
    await driver.close();
    throw error;
  }
}
