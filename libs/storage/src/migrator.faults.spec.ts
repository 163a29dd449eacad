import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { type PostgresServer, startPostgres } from '@yuxi/testing';
import { Client } from 'pg';
import type { StorageDriver } from './drivers/driver.js';
import { openPostgres } from './drivers/postgres.driver.js';
import { migrate } from './migrator.js';
import { resolveStorageOptions } from './storage.options.js';

const BUSY =
  'CREATE TABLE busy (n int); CREATE TABLE other (n int); INSERT INTO busy VALUES (1); INSERT INTO other VALUES (1)';
const CHANGE = { id: 'x/1', sql: 'ALTER TABLE other ADD COLUMN m int; ALTER TABLE busy ADD COLUMN m int' };
/** Longer than any statement may wait: a second, and more on a slow machine. */
const HELD_MS = 8000;
const STATEMENT_WITHIN_MS = 4000;

describe('a migration of tables that are in use', () => {
  let server: PostgresServer;
  let driver: StorageDriver;
  let holder: Client;
  let url: string;
  let warnings: string[];

  beforeAll(async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation((line: string) => void warnings.push(line));
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    server = await startPostgres();
  });
  beforeEach(async () => {
    warnings = [];
    ({ url } = await server.createDatabase());
    driver = await openPostgres({ ...resolveStorageOptions({ poolSize: 6 }), databaseUrl: url });
    await driver.sql.script(BUSY);
    holder = new Client({ connectionString: url, application_name: 'a report' });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM busy');
  });
  afterEach(async () => {
    await holder.end();
    await driver.close();
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await server.stop();
  });

  it('blocks other statements only for a moment while a transaction holds a table, and is applied once by three processes', async () => {
    const { sql } = driver;
    const migrating = Promise.all([1, 2, 3].map(() => migrate(sql, [CHANGE])));
    const end = performance.now() + HELD_MS;
    let statements = 0;
    for (; performance.now() < end; statements++) {
      await sql.query('SELECT * FROM busy', [], { timeout: STATEMENT_WITHIN_MS });
      await sql.query('INSERT INTO other VALUES (2)', [], { timeout: STATEMENT_WITHIN_MS });
    }
    await holder.query('COMMIT');
    expect((await migrating).flat()).toEqual(['x/1']);
    expect((await sql.query('SELECT n, m FROM other')).rowCount).toBe(statements + 1);
    expect(warnings).toEqual(expect.arrayContaining([expect.stringContaining('migration x/1 waits for the locks')]));
  });

  it('fails after its wait, names the sessions that hold tables and the remedy, and holds no lock', async () => {
    const { sql } = driver;
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const failed: unknown = await migrate(sql, [CHANGE], 1000).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'MIGRATION_BLOCKED', retryable: true });
    expect((failed as Error).message).toMatch(
      new RegExp(
        `^migration x/1 did not .* session ${rows[0]!.pid} \\(a report of postgres, idle in transaction for \\d+ s\\) holds busy\\. .*pg_terminate_backend`,
      ),
    );
    const held = await sql.query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' OR mode = 'AccessExclusiveLock'`);
    expect(held.rows).toEqual([]);
    await holder.query('ROLLBACK');
    expect(await migrate(sql, [CHANGE])).toEqual(['x/1']);
  });

  it('does not stop an application from starting, and is applied when the other transaction has ended', async () => {
    const wait = { startWithout: true, migrationWait: 100, migrations: [CHANGE] };
    const started = await openPostgres({ ...resolveStorageOptions(wait), databaseUrl: url });
    try {
      await expect(started.sql.query('SELECT m FROM busy')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      await holder.query('COMMIT');
      await started.ready;
      expect((await started.sql.query('SELECT m FROM busy')).rows).toEqual([{ m: null }]);
    } finally {
      await started.close();
    }
  });

  it('is the one that fails in a deadlock, and is then repeated', async () => {
    const { sql } = driver;
    const migrating = migrate(sql, [CHANGE]);
    // It holds `other` and waits for `busy`, which the holder has.
    await holder.query('SELECT * FROM other');
    await holder.query('COMMIT');
    expect(await migrating).toEqual(['x/1']);
  });

  it('is repeated also when it needs an extension, which is not reported as absent', async () => {
    const migrating = migrate(driver.sql, [{ ...CHANGE, extension: 'plpgsql' }], 500);
    await expect(migrating).rejects.toMatchObject({ code: 'MIGRATION_BLOCKED' });
    expect(warnings).not.toEqual(expect.arrayContaining([expect.stringContaining('waits for the extension')]));
  });
});
