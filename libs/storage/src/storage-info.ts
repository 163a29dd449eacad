import { Logger } from '@nestjs/common';
import type { StorageDriver } from './drivers/driver.js';
import { lockSchema } from './migrator.js';

const logger = new Logger('StorageInfo');

/** What the open database is and can do; read once, when it is there. Injectable by this class. */
export class StorageInfo {
  /** Whether the `vector` extension can be used; without it the product searches by keyword only. */
  vector = false;
  /** Version of the server, e.g. `15.13`; empty until it was reached. */
  version = '';

  constructor(readonly driver: 'postgres' | 'pglite') {}
}

/** Creates the `vector` extension where that is possible and reports the result; never fails because of it. */
export async function readStorageInfo({ kind, sql, ready }: StorageDriver): Promise<StorageInfo> {
  const info = new StorageInfo(kind);
  const read = async () => {
    if (kind === 'postgres') await tryVector(sql);
    const { rows } = await sql.query<{ version: string; vector: boolean }>(
      `SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
              EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') AS vector`,
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

async function tryVector(sql: StorageDriver['sql']): Promise<void> {
  try {
    await sql.transaction(async (tx) => {
      await lockSchema(tx);
      await tx.script('CREATE EXTENSION IF NOT EXISTS vector');
    });
  } catch (error) {
    logger.log(
      `no vector extension (${(error as Error).message}): search by keyword only; install pgvector to change that`,
    );
  }
}
