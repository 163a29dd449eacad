import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DataFolderInUseError } from '../storage.errors.js';
import { lockFolder } from './folder-lock.js';
import { openPglite } from './pglite.driver.js';

describe('PGlite', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'yuxi-pglite-'));
    file = join(folder, 'pg.lock');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('keeps its data in the folder, which only one process can open at a time', async () => {
    const first = await openPglite({ dataDir: folder });
    await first.sql.script(`CREATE TABLE t AS SELECT 'kept' AS what`);
    await expect(openPglite({ dataDir: folder })).rejects.toThrow(DataFolderInUseError);
    await first.close();
    const second = await openPglite({ dataDir: folder });
    expect((await second.sql.query('SELECT what FROM t')).rows).toEqual([{ what: 'kept' }]);
    await second.close();
  }, 60_000);

  it('does not block the event loop, and passes on all fields of an error of PostgreSQL', async () => {
    const driver = await openPglite();
    try {
      let turns = 0;
      const timer = setInterval(() => turns++, 20);
      await driver.sql.query('SELECT pg_sleep(1)');
      clearInterval(timer);
      expect(turns).toBeGreaterThan(5);
      await driver.sql.script('CREATE TABLE t (id int CONSTRAINT only_one PRIMARY KEY)');
      await driver.sql.query('INSERT INTO t VALUES (1)');
      const twice = driver.sql.query('INSERT INTO t VALUES (1)');
      await expect(twice).rejects.toMatchObject({
        message: expect.stringContaining('duplicate key'),
        severity: 'ERROR',
        code: '23505',
        table: 't',
        constraint: 'only_one',
        detail: 'Key (id)=(1) already exists.',
      });
    } finally {
      await driver.close();
    }
  });

  it('refuses a value that cannot be sent to its worker, and continues', async () => {
    const driver = await openPglite();
    try {
      await expect(driver.sql.query('SELECT $1::text', [() => 1])).rejects.toThrow('could not be cloned');
      expect((await driver.sql.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    } finally {
      await driver.close();
    }
  });

  it('creates the database again when the first start was stopped meanwhile', async () => {
    mkdirSync(join(folder, 'pg'));
    writeFileSync(join(folder, 'pg/PG_VERSION'), '18');
    writeFileSync(join(folder, 'pg.making'), '');
    const driver = await openPglite({ dataDir: folder });
    expect((await driver.sql.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(existsSync(join(folder, 'pg.making'))).toBe(false);
    await driver.close();
  });

  it('refuses the lock file of a living process, and replaces that of a dead process', async () => {
    const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(holder, 'spawn');
    writeFileSync(file, `${holder.pid} ${hostname()}\n`);
    expect(() => lockFolder('pg', file)).toThrow(`process ${holder.pid}`);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const lock = lockFolder('pg', file);
    expect(readFileSync(file, 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    lock.release();
  });

  it('decides by the last heartbeat whether a process on another host is alive', () => {
    writeFileSync(file, '1 elsewhere\n');
    expect(() => lockFolder('pg', file)).toThrow('host elsewhere');
    utimesSync(file, 0, 0);
    lockFolder('pg', file).release();
  });

  it('replaces a lock file with its own pid, which the same container wrote before a restart', () => {
    writeFileSync(file, `${process.pid} ${hostname()}\n`);
    lockFolder('pg', file).release();
  });
});
