import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, type PostgresServer, startPostgres } from '@yuxi/testing';
import { sql as text } from 'drizzle-orm';
import { Client } from 'pg';
import { resolveStorageOptions } from '../storage.options.js';
import type { StorageDriver } from './driver.js';
import { openPostgres } from './postgres.driver.js';

const raise = (code: string) => `DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END $$`;

describe('a deadlock', () => {
  let server: PostgresServer;
  let driver: StorageDriver;
  let other: Client;

  beforeAll(async () => {
    server = await startPostgres();
  });
  beforeEach(async () => {
    const { url } = await server.createDatabase();
    driver = await openPostgres({ ...resolveStorageOptions({}), databaseUrl: url });
    await driver.sql.script('CREATE TABLE t (n int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)');
    other = new Client({ connectionString: url });
    await other.connect();
    await other.query('BEGIN');
    await other.query('UPDATE t SET v = v + 10 WHERE n = 2');
  });
  afterEach(async () => {
    await other.end();
    await driver.close();
  });
  afterAll(() => server.stop());

  /** The other session holds row 2. It waits for row 1 only when the test waits, so that the test detects the deadlock first. */
  const causeDeadlock = async () => {
    await eventually(async () => {
      const { rowCount } = await other.query('SELECT 1 FROM pg_locks WHERE NOT granted');
      expect(rowCount).toBe(1);
    });
    await other.query('UPDATE t SET v = v + 10 WHERE n = 1');
    await other.query('COMMIT');
  };
  const values = async () =>
    (await driver.sql.query<{ v: number }>('SELECT v FROM t ORDER BY n')).rows.map(({ v }) => v);

  it('repeats a transaction, which has its effect once', async () => {
    let runs = 0;
    const running = driver.sql.transaction(async (tx) => {
      runs++;
      await tx.query('UPDATE t SET v = v + 1 WHERE n = 1');
      await tx.query('UPDATE t SET v = v + 1 WHERE n = 2');
    });
    await Promise.all([running, causeDeadlock()]);
    expect({ runs, values: await values() }).toEqual({ runs: 2, values: [11, 11] });
  });

  it('repeats a transaction of the query builder', async () => {
    let runs = 0;
    const running = driver.db.transaction(async (tx) => {
      runs++;
      await tx.execute(text`UPDATE t SET v = v + 1 WHERE n = 1`);
      await tx.execute(text`UPDATE t SET v = v + 1 WHERE n = 2`);
    });
    await Promise.all([running, causeDeadlock()]);
    expect({ runs, values: await values() }).toEqual({ runs: 2, values: [11, 11] });
  });

  it.each(['plain', 'of the query builder'])('repeats a single statement: %s', async (kind) => {
    const both = 'UPDATE t SET v = t.v + 1 FROM (SELECT n FROM t ORDER BY n FOR UPDATE) o WHERE o.n = t.n';
    const running = kind === 'plain' ? driver.sql.query(both) : driver.db.execute(both);
    await Promise.all([running, causeDeadlock()]);
    expect(await values()).toEqual([11, 11]);
  });

  it('is reported as a busy database after the last attempt, and a lock timeout at once', async () => {
    let runs = 0;
    const always = driver.sql.transaction(async (tx) => {
      runs++;
      await tx.script(raise('40001'));
    });
    await expect(always).rejects.toMatchObject({ code: 'DATABASE_BUSY', retryable: true });
    expect(runs).toBe(4);
    const expected = { code: 'DATABASE_BUSY', retryable: true };
    await expect(driver.sql.script(raise('55P03'))).rejects.toMatchObject(expected);
    await expect(driver.db.execute(raise('55P03'))).rejects.toMatchObject({ cause: expected });
    await expect(driver.sql.query(raise('40P01'), [], { timeout: 5000 })).rejects.toMatchObject(expected);
    await expect(driver.sql.script(raise('22012'))).rejects.toMatchObject({ code: '22012' });
  });
});
