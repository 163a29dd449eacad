import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { startPostgres, type PostgresServer } from '@yuxi/testing';
import { openPostgres } from './drivers/postgres.driver.js';
import { storageMigrations } from './migrations/index.js';
import { migrate } from './migrator.js';
import { resolveStorageOptions } from './storage.options.js';

const compiled = new URL('../dist/index.js', import.meta.url);
const EIGHT = Array.from({ length: 8 });

type Driver = Awaited<ReturnType<typeof openPostgres>>;
const open = (databaseUrl: string) => openPostgres({ ...resolveStorageOptions({ poolSize: 2 }), databaseUrl });

describe('the migrator', () => {
  let server: PostgresServer;
  const withDrivers = async <T>(count: number, work: (drivers: Driver[]) => Promise<T>): Promise<T> => {
    const { url } = await server.createDatabase();
    const drivers = await Promise.all(Array.from({ length: count }, () => open(url)));
    try {
      return await work(drivers);
    } finally {
      await Promise.all(drivers.map((driver) => driver.close()));
    }
  };
  const withOne = (work: (driver: Driver) => Promise<void>) => withDrivers(1, (drivers) => work(drivers.at(0)!));

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());

  it('applies each migration once when eight processes start at the same time', async () => {
    const applied = await withDrivers(8, (drivers) =>
      Promise.all(drivers.map(({ sql }) => migrate(sql, storageMigrations))),
    );
    // Any process may apply any migration.
    expect(applied.flat().sort()).toEqual(storageMigrations.map(({ id }) => id).sort());
  });

  it('control: fails without the lock', async () => {
    const outcomes = await withDrivers(8, (drivers) =>
      Promise.allSettled(drivers.map(({ sql }) => sql.transaction((tx) => tx.script(storageMigrations.at(0)!.sql)))),
    );
    expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
  });

  it('works in eight processes of the compiled library that start at the same time', async () => {
    if (!existsSync(compiled)) {
      new Logger('skip').warn('libs/storage is not compiled: run npm run build');
      return;
    }
    const { url } = await server.createDatabase();
    const script = `import { openStorage } from '${compiled.href}';
      const driver = await openStorage({ databaseUrl: process.argv[1], poolSize: 2 });
      await driver.sql.query('SELECT count(*) FROM postings'); await driver.close();`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, url]);
    const outcomes = await Promise.allSettled(EIGHT.map(run));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
  });

  it('rolls back a migration that fails, and continues with it at the next start', async () => {
    await withOne(async ({ sql }) => {
      const first = { id: 'x/1', sql: 'CREATE TABLE one (id int)' };
      const bad = { id: 'x/2', sql: 'CREATE TABLE two (id int); SELECT nonsense' };
      await expect(migrate(sql, [first, bad])).rejects.toThrow(/migration x\/2 failed: column "nonsense"/);
      const { rows } = await sql.query(`SELECT to_regclass('one') IS NOT NULL AS one, to_regclass('two') AS two`);
      expect(rows).toEqual([{ one: true, two: null }]);
      expect(await migrate(sql, [first, { ...bad, sql: 'CREATE TABLE two (id int)' }])).toEqual(['x/2']);
      expect(await migrate(sql, [first, bad])).toEqual([]);
    });
  });

  it('warns about migrations of a newer build, and refuses an id that is given twice', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await withOne(async ({ sql }) => {
      await migrate(sql, [{ id: 'x/9', sql: 'SELECT 1' }]);
      await migrate(sql, []);
      expect(warn).toHaveBeenCalledWith(expect.stringContaining('x/9'));
      const twice = { id: 'x/9', sql: '' };
      await expect(migrate(sql, [twice, twice])).rejects.toThrow('unique ids');
    });
    warn.mockRestore();
  });

  it('skips a migration whose extension is not available, and tries it again at the next start', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await withOne(async ({ sql }) => {
      const needy = { id: 'x/1', sql: 'CREATE TABLE needy (id int)', extension: 'no_such_extension' };
      const next = { id: 'x/2', sql: 'CREATE TABLE next (id int)' };
      expect(await migrate(sql, [needy, next])).toEqual(['x/2']);
      expect(warn).toHaveBeenCalledWith(expect.stringContaining('x/1 waits for the extension no_such_extension'));
      // At the next start the server has the extension: any that is installed serves as an example.
      expect(await migrate(sql, [{ ...needy, extension: 'plpgsql' }, next])).toEqual(['x/1']);
      const old = { id: 'x/3', sql: 'SELECT 1::no_such_type', extension: 'plpgsql' };
      expect(await migrate(sql, [needy, next, old])).toEqual([]);
    });
    warn.mockRestore();
  });
});
