import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Database } from '../database.js';
import { DiskSpace, ReportedSpace } from '../disk-space.js';
import * as schema from '../schema/index.js';
import type { ResolvedStorageOptions } from '../storage.options.js';
import { HNSW_EF_SEARCH, type StorageDriver } from './driver.js';
import { lockFolder } from './folder-lock.js';
import { pgliteClient } from './pglite-client.js';
import { PgliteNotifications } from './pglite-notifications.js';
import { PgliteSupervisor } from './pglite-supervisor.js';

/** Options of {@link openPglite}, see `StorageOptions`. */
export type PgliteOptions = Pick<ResolvedStorageOptions, 'dataDir' | 'onCreate' | 'minFree'>;

/**
 * Opens the embedded database in `<dataDir>/pg`, or in memory, in a thread of its own.
 * @throws {DataFolderInUseError} while another process has the folder open. {@link StorageFullError} when there is no room to open it
 */
export async function openPglite({ dataDir, onCreate, minFree }: PgliteOptions = {}): Promise<StorageDriver> {
  const folder = dataDir === undefined ? undefined : resolve(dataDir, 'pg');
  if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
  const lock = folder === undefined ? undefined : lockFolder(folder, join(resolve(dataDir!), 'pg.lock'));
  const disk = dataDir === undefined ? undefined : new DiskSpace(resolve(dataDir), minFree);
  let created: (() => void) | undefined;
  const release = () => {
    disk?.close();
    lock?.release();
  };
  try {
    await disk?.requireRoomToStart();
    const making = folder === undefined ? undefined : beginMaking(folder);
    if (making !== undefined) created = onCreate?.(folder!);
    const setup = `SET hnsw.ef_search = ${HNSW_EF_SEARCH}`;
    const [supervisor, { drizzle }] = await Promise.all([
      PgliteSupervisor.open({ folder, setup }, disk),
      // Loaded here, because it brings PGlite along, which a replica on PostgreSQL has no use for.
      import('drizzle-orm/pglite'),
    ]);
    if (making !== undefined) rmSync(making);
    const { connection } = supervisor;
    return {
      kind: 'pglite',
      sql: pgliteClient(connection),
      db: drizzle(connection as never, { schema }) as unknown as Database,
      notifications: new PgliteNotifications(supervisor),
      space: disk ?? new ReportedSpace(),
      ready: Promise.resolve(),
      async close() {
        await supervisor.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  } finally {
    created?.();
  }
}

/**
 * Takes away what a start left that was stopped while it made the database: nobody has stored anything there.
 * @returns a file to be removed when the database is made; undefined where there is one already
 */
function beginMaking(folder: string): string | undefined {
  const mark = `${folder}.making`;
  if (existsSync(mark)) rmSync(folder, { recursive: true, force: true });
  if (existsSync(join(folder, 'PG_VERSION'))) return undefined;
  writeFileSync(mark, '');
  return mark;
}
