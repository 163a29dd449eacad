import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { drizzle } from 'drizzle-orm/pglite';
import type { Database } from '../database.js';
import * as schema from '../schema/index.js';
import type { StorageOptions } from '../storage.options.js';
import { HNSW_EF_SEARCH, type StorageDriver } from './driver.js';
import { lockFolder } from './folder-lock.js';
import { pgliteClient } from './pglite-client.js';
import { pgliteNotifications } from './pglite-notifications.js';

const BYTEA = 17;
const INT8 = 20;

/**
 * Opens the embedded database in `<dataDir>/pg`, or in memory.
 * @param onCreate see `StorageOptions`
 * @throws {DataFolderInUseError} while another process has the folder open.
 */
export async function openPglite(dataDir?: string, onCreate?: StorageOptions['onCreate']): Promise<StorageDriver> {
  const folder = dataDir === undefined ? undefined : resolve(dataDir, 'pg');
  if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
  const lock = folder === undefined ? undefined : lockFolder(folder, join(resolve(dataDir!), 'pg.lock'));
  const isNew = folder !== undefined && !existsSync(join(folder, 'PG_VERSION'));
  const created = isNew ? onCreate?.(folder) : undefined;
  try {
    // Loaded here, because a replica on PostgreSQL should not carry 20 MB of it.
    const [{ PGlite }, { vector }] = await Promise.all([
      import('@electric-sql/pglite'),
      import('@electric-sql/pglite-pgvector'),
    ]);
    const pglite = await PGlite.create({
      dataDir: folder ?? 'memory://',
      extensions: { vector },
      parsers: { [INT8]: Number, [BYTEA]: (text: string) => Buffer.from(text.slice(2), 'hex') },
    });
    await pglite.exec(`SET hnsw.ef_search = ${HNSW_EF_SEARCH}`);
    return {
      kind: 'pglite',
      sql: pgliteClient(pglite),
      db: drizzle(pglite, { schema }) as unknown as Database,
      notifications: pgliteNotifications(pglite),
      ready: Promise.resolve(),
      async close() {
        await pglite.close();
        lock?.release();
      },
    };
  } catch (error) {
    lock?.release();
    throw error;
  } finally {
    created?.();
  }
}
