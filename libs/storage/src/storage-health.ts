import { sleep, type SqlClient } from '@yuxi/core';

export interface StorageHealth {
  status: 'up' | 'down';
  /** Why the status is `down`. */
  state?: string;
}

/**
 * Asks the database for one value.
 * @param limit longest wait in milliseconds; no answer by then counts as `down`. Default 500.
 */
export async function storageHealth(sql: Pick<SqlClient, 'query'>, limit = 500): Promise<StorageHealth> {
  const done = new AbortController();
  const answer = sql.query('SELECT 1').then(
    (): StorageHealth => ({ status: 'up' }),
    (error: Error): StorageHealth => ({ status: 'down', state: error.message || error.name }),
  );
  const late = sleep(limit, done.signal).then((): StorageHealth => ({
    status: 'down',
    state: `no answer within ${limit} ms`,
  }));
  try {
    return await Promise.race([answer, late]);
  } finally {
    done.abort();
  }
}
