import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually, reportSkip, temporaryFolder } from '@yuxi/testing';
import { MB, SmallDisk } from '../../../../test/support/small-disk.js';
import { DiskSpace } from '../disk-space.js';
import { DatabaseUnavailableError, StorageFullError } from '../storage.errors.js';
import type { StorageDriver } from './driver.js';
import { openPglite } from './pglite.driver.js';

const MINUTES = 60_000;
/** Longest time until the database is available again after files were deleted. */
const AVAILABLE_WITHIN_MS = 10_000;

class Listener {
  readonly messages: string[] = [];
  listens = 0;
  message(payload: string): void {
    this.messages.push(payload);
  }
  listening(): void {
    this.listens++;
  }
}

/** @returns ids of the rows, which are committed */
async function insertRows({ sql }: StorageDriver, count: number): Promise<number[]> {
  const kept: number[] = [];
  for (let i = 0; i < count; i++) {
    const { rows } = await sql.query<{ id: number }>('INSERT INTO t (content) VALUES ($1) RETURNING id', [
      randomBytes(MB / 2),
    ]);
    kept.push(rows[0]!.id);
  }
  return kept;
}

const answers = ({ sql }: StorageDriver) =>
  eventually(() => sql.query('SELECT 1'), { timeout: AVAILABLE_WITHIN_MS, every: 50, describe: 'the database' });

describe('the worker of PGlite', () => {
  let driver: StorageDriver | undefined;
  let disk: SmallDisk | undefined;
  beforeEach(() => {
    for (const level of ['log', 'warn', 'error'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await driver?.close();
    disk?.remove();
    driver = disk = undefined;
  });

  it(
    'is terminated when it does not respond on a full disk, and starts again with all committed rows',
    async () => {
      driver = await openPglite({ dataDir: temporaryFolder('silent') });
      const { sql, notifications } = driver;
      const listener = new Listener();
      notifications.listen('yuxi_spec', listener);
      await sql.script('CREATE TABLE t (id serial PRIMARY KEY, content bytea)');
      const kept = await insertRows(driver, 3);
      await eventually(() => expect(listener.listens).toBe(1));
      const free = jest.spyOn(DiskSpace.prototype, 'free', 'get').mockReturnValue(0);
      const stuck = sql.query('SELECT pg_sleep(600)');
      const behind = sql.query('SELECT 1');
      await expect(stuck).rejects.toThrow(DatabaseUnavailableError);
      await expect(behind).rejects.toThrow('on a full disk');
      free.mockRestore();
      await answers(driver);
      expect((await sql.query('SELECT id FROM t ORDER BY id')).rows.map(({ id }) => id)).toEqual(kept);
      await eventually(() => expect(listener.listens).toBe(2));
      await sql.query(`SELECT pg_notify('yuxi_spec', 'again')`);
      await eventually(() => expect(listener.messages).toEqual(['again']));
    },
    2 * MINUTES,
  );

  it(
    'is not terminated during a long statement while the disk has room',
    async () => {
      driver = await openPglite({ dataDir: temporaryFolder('long') });
      const { rows } = await driver.sql.query('SELECT pg_sleep(8), 1 AS done');
      expect(rows).toMatchObject([{ done: 1 }]);
    },
    2 * MINUTES,
  );

  it(
    'ends when the disk is full, and starts again within 10 s after files were deleted, with all committed rows',
    async () => {
      disk = SmallDisk.make(200);
      if (!disk) return reportSkip('full disks', 'no file system can be mounted here');
      driver = await openPglite({ dataDir: disk.folder });
      const { sql, space } = driver;
      await sql.script('CREATE TABLE t (id serial PRIMARY KEY, content bytea)');
      const kept = await insertRows(driver, 5);
      disk.fill(10);
      await expect(space.reserve()).rejects.toThrow(StorageFullError);
      // Reserves no room, so that the write-ahead log itself fails.
      const failure = await eventually(
        async () => {
          try {
            kept.push(...(await insertRows(driver!, 1)));
          } catch (error) {
            return error;
          }
          throw new Error(`${kept.length} rows are stored`);
        },
        { timeout: MINUTES, every: 1 },
      );
      expect(failure).toBeInstanceOf(DatabaseUnavailableError);
      await expect(sql.query('SELECT 1')).rejects.toThrow(DatabaseUnavailableError);
      disk.makeRoom();
      await answers(driver);
      expect((await sql.query('SELECT id FROM t ORDER BY id')).rows.map(({ id }) => id)).toEqual(kept);
      (await space.reserve(MB))();
    },
    2 * MINUTES,
  );
});
