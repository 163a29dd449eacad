import { Logger } from '@nestjs/common';
import type { StorageDriver } from './drivers/driver.js';
import { lockSchema } from './migrator.js';

/** What the open database is and can do; read once at boot. Injectable by this class. */
export class StorageInfo {
  constructor(
    readonly driver: 'postgres' | 'pglite',
    /** Whether the `vector` extension can be used; without it the product searches by keyword only. */
    readonly vector: boolean,
    /** Version of the server, e.g. `15.13`. */
    readonly version: string,
  ) {}
}

/** Creates the `vector` extension where that is possible and reports the result; never fails because of it. */
export async function readStorageInfo({ kind, sql }: StorageDriver): Promise<StorageInfo> {
  if (kind === 'postgres') await tryVector(sql);
  const { rows } = await sql.query<{ version: string; vector: boolean }>(
    `SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
            EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') AS vector`,
  );
  return new StorageInfo(kind, rows[0]!.vector, rows[0]!.version);
}

async function tryVector(sql: StorageDriver['sql']): Promise<void> {
  try {
    await sql.transaction(async (tx) => {
      await lockSchema(tx);
      await tx.script('CREATE EXTENSION IF NOT EXISTS vector');
    });
  } catch (error) {
    new Logger('StorageInfo').log(
      `no vector extension (${(error as Error).message}): search by keyword only; install pgvector to change that`,
    );
  }
}
