import { Logger } from '@nestjs/common';
import { type SqlClient, within } from '@yuxi/core';
import type { StorageDriver } from './drivers/driver.js';

const logger = new Logger('StorageInfo');

/** Kind, version and abilities of the open database. Read once, when it is available. Injectable by this class. */
export class StorageInfo {
  /** Whether the table of vectors exists, see `storage/0006-vectors`. Without it there is no semantic search. */
  vector = false;
  /** Version of the server, for example `15.13`; empty until it was read. */
  version = '';

  constructor(readonly driver: 'postgres' | 'pglite') {}
}

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
  // A database that is not available yet must not delay the start.
  if (await isSettled(ready)) await reading;
  else
    reading.catch((error: unknown) =>
      logger.warn(`cannot read the version and extensions of the database: ${(error as Error).message}`),
    );
  return info;
}

async function isSettled(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => true), Promise.resolve(false).then(() => false)]);
}

export interface StorageHealth {
  status: 'up' | 'down';
  /** Why the status is `down`. */
  state?: string;
}

/**
 * Queries one value from the database.
 * @param limit longest wait for the answer, milliseconds; after that the status is `down`. Default 500.
 */
export async function storageHealth(sql: Pick<SqlClient, 'query'>, limit = 500): Promise<StorageHealth> {
  try {
    await within(limit, sql.query('SELECT 1'), () => new Error(`no answer within ${limit} ms`));
    return { status: 'up' };
  } catch (error) {
    const { message, name } = error as Error;
    return { status: 'down', state: message || name };
  }
}
