import { afterAll, beforeAll, describe } from '@jest/globals';
import type { Migration } from '@yuxi/core';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { openStorage, type StorageDriver } from '../../libs/storage/src/index.js';

/** Runs the same tests on PostgreSQL and on PGlite, each with an empty, migrated database. */
export function onBothDrivers(
  title: string,
  body: (driver: () => StorageDriver, kind: StorageDriver['kind']) => void,
  migrations: readonly Migration[] = [],
): void {
  describe.each(['postgres', 'pglite'] as const)(`${title} on %s`, (kind) => {
    let server: PostgresServer | undefined;
    let driver: StorageDriver;

    beforeAll(async () => {
      server = kind === 'postgres' ? await startPostgres() : undefined;
      const databaseUrl = (await server?.createDatabase())?.url;
      driver = await openStorage({ databaseUrl, migrations });
    });
    afterAll(async () => {
      await driver?.close();
      await server?.stop();
    });

    body(() => driver, kind);
  });
}
