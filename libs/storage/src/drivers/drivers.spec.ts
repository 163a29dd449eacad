import { expect, it } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { onBothDrivers } from '../../../../test/support/both-drivers.js';
import { departments, files } from '../schema/index.js';
import { sqlOf } from '../database.js';
import { readStorageInfo, storageHealth } from '../storage-info.js';

const add = (name: string) => ['INSERT INTO departments (name) VALUES ($1)', [name]] as const;

onBothDrivers('a driver', (driver) => {
  const names = async () =>
    (await driver().sql.query<{ name: string }>('SELECT name FROM departments ORDER BY name')).rows.map(
      (row) => row.name,
    );

  it('accepts and returns the same values', async () => {
    const at = new Date('2031-02-03T04:05:06.789Z');
    const { rows } = await driver().sql.query(
      `SELECT $1::jsonb AS json, $2::bytea AS bytes, $3::text[] AS list, $4::timestamptz AS at, $5::int8 AS big,
              $6::float8 AS share, $7::boolean AS flag, $8::text AS nothing, count(*) AS count FROM departments`,
      [JSON.stringify({ a: [1, null] }), Buffer.from([0, 255, 10]), ['x', 'y,"z'], at, 2 ** 40, 0.25, true, null],
    );
    expect(rows).toEqual([
      {
        json: { a: [1, null] },
        bytes: Buffer.from([0, 255, 10]),
        list: ['x', 'y,"z'],
        at,
        big: 2 ** 40,
        share: 0.25,
        flag: true,
        nothing: null,
        count: 0,
      },
    ]);
    expect(Buffer.isBuffer(rows.at(0)!['bytes'])).toBe(true);
  });

  it('returns int8 as number also through drizzle', async () => {
    const { rows } = await driver().db.execute(sql`SELECT count(*) AS count FROM ${files}`);
    expect(rows).toEqual([{ count: 0 }]);
  });

  it('counts the rows that were read or changed', async () => {
    expect((await driver().sql.query('SELECT generate_series(1, 3)')).rowCount).toBe(3);
    expect((await driver().sql.query(`UPDATE departments SET name = 'x'`)).rowCount).toBe(0);
  });

  it('keeps its connection after a statement that fails', async () => {
    const backend = async () =>
      (await driver().sql.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
    const before = await backend();
    await expect(driver().sql.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
    expect(await backend()).toBe(before);
  });

  it('rolls back a transaction that throws, and only the inner part when a nested one throws', async () => {
    const { sql: client } = driver();
    await client.transaction(async (tx) => {
      await tx.query(...add('outer'));
      const inner = tx.transaction(async (nested) => {
        await nested.query(...add('inner'));
        await nested.query('SELECT 1 / 0');
      });
      await expect(inner).rejects.toThrow('division by zero');
      await tx.transaction((nested) => nested.query(...add('second')));
    });
    const failing = client.transaction(async (tx) => {
      await tx.query(...add('lost'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await names()).toEqual(['outer', 'second']);
  });

  it('rolls back a drizzle transaction that throws', async () => {
    const failing = driver().db.transaction(async (tx) => {
      await tx.insert(departments).values({ name: 'typed' });
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await names()).not.toContain('typed');
  });

  it('runs plain SQL in a drizzle transaction', async () => {
    const failing = driver().db.transaction(async (tx) => {
      await tx.insert(departments).values({ name: 'lent' });
      const seen = await sqlOf(tx).query(`SELECT name FROM departments WHERE name = $1`, ['lent']);
      expect(seen.rows).toEqual([{ name: 'lent' }]);
      await sqlOf(tx).query(...add('through it'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await names()).not.toContain('through it');
  });

  it('reports its kind, its version and that it is up', async () => {
    const info = await readStorageInfo(driver());
    expect(info).toMatchObject({ driver: driver().kind, version: expect.stringMatching(/^\d+\.\d+/) });
    expect(await storageHealth(driver().sql)).toEqual({ status: 'up' });
  });
});

it('storageHealth reports down when there is no answer in time, and when the query fails', async () => {
  const never = { query: () => new Promise<never>(() => undefined) };
  expect(await storageHealth(never, 20)).toEqual({ status: 'down', state: 'no answer within 20 ms' });
  const broken = { query: () => Promise.reject(new Error('gone')) };
  expect(await storageHealth(broken)).toEqual({ status: 'down', state: 'gone' });
});
