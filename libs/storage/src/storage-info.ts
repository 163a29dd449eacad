import { Logger } from '@nestjs/common';
import type { StorageDriver } from './drivers/driver.js';

const logger = new Logger('StorageInfo');

/** What the open database is and can do; read once, when it is there. Injectable by this class. */
export class StorageInfo {
  /** Whether there is a table of vectors, see `storage/0006-vectors`; without it the product searches by keyword only. */
  vector = false;
  /** Version of the server, e.g. `15.13`; empty until it was reached. */
  version = '';

  constructor(readonly driver: 'postgres' | 'pglite') {}
}

/** Asks the migrated database what it is. */
export async function readStorageInfo({ kind, sql, ready }: StorageDriver): Promise<StorageInfo> {
  const info = new StorageInfo(kind);
  const read = async () => {
    const { rows } = await sql.query<{ version: string; vector: boolean }>(
      `SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
              to_regclass('chunk_vectors') IS NOT NULL AS vector`,
    );
    Object.assign(info, rows[0]);
  };
  const reading = ready.then(read);
  // A database that is not there yet is not waited for.
  if (await isSettled(ready)) await reading;
  else
    reading.catch((error: unknown) =>
      logger.warn(`the database cannot be asked what it is: ${(error as Error).message}`),
    );
  return info;
}

async function isSettled(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => true), Promise.resolve(false).then(() => false)]);
}
