import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Database } from '../database.js';
import { DiskSpace, ReportedSpace } from '../disk-space.js';
import * as schema from '../schema/index.js';
import type { ResolvedStorageOptions } from '../storage.options.js';
import { HNSW_EF_SEARCH, type StorageDriver } from './driver.js';
import { lockFolder } from './folder-lock.js';
import { PgliteNotifications } from './notifications.js';
import { pgliteClient } from './pglite-client.js';
import { PgliteSupervisor } from './pglite-supervisor.js';

/** Options of {@link openPglite}, see `StorageOptions`. */
export type PgliteOptions = Pick<ResolvedStorageOptions, 'dataDir' | 'onCreate' | 'minFree'>;

/**
 * Opens the embedded database in `<dataDir>/pg`, or in memory, in a worker thread.
 * @throws {DataFolderInUseError} while another process has the folder open; {@link StorageFullError} when there is not enough room
 */
export async function openPglite({ dataDir, onCreate, minFree }: PgliteOptions = {}): Promise<StorageDriver> {
  const folder = dataDir === undefined ? undefined : resolve(dataDir, 'pg');
  if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
  const lock = folder === undefined ? undefined : lockFolder(folder, join(resolve(dataDir!), 'pg.lock'));
  const disk = dataDir === undefined ? undefined : new DiskSpace(resolve(dataDir), minFree);
  let onCreated: (() => void) | undefined;
  const release = () => {
    disk?.close();
    lock?.release();
  };
  try {
    await disk?.requireRoomToStart();
    const creationMarker = folder === undefined ? undefined : prepareCreation(folder);
    if (creationMarker !== undefined) onCreated = onCreate?.(folder!);
    const setup = `SET hnsw.ef_search = ${HNSW_EF_SEARCH}`;
    const [supervisor, { drizzle }] = await Promise.all([
      PgliteSupervisor.open({ folder, setup }, disk),
      // Imported here, because it loads PGlite, which a replica on PostgreSQL does not need.
      import('drizzle-orm/pglite'),
    ]);
    if (creationMarker !== undefined) rmSync(creationMarker);
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
    onCreated?.();
  }
}

/**
 * Removes the files of an earlier start that was stopped while it created the database: they contain no data yet.
 * @returns a marker file, to be removed when the database is created; undefined when the database exists
 */
function prepareCreation(folder: string): string | undefined {
  const marker = `${folder}.making`;
  if (existsSync(marker)) rmSync(folder, { recursive: true, force: true });
  if (existsSync(join(folder, 'PG_VERSION'))) return undefined;
  writeFileSync(marker, '');
  return marker;
}
