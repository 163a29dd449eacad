import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
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

  it('keeps its data in the folder, which only one opens at a time', async () => {
    const first = await openPglite({ dataDir: folder });
    await first.sql.script(`CREATE TABLE t AS SELECT 'kept' AS what`);
    await expect(openPglite({ dataDir: folder })).rejects.toThrow(DataFolderInUseError);
    await first.close();
    const second = await openPglite({ dataDir: folder });
    expect((await second.sql.query('SELECT what FROM t')).rows).toEqual([{ what: 'kept' }]);
    await second.close();
  });

  it('refuses a folder that a living process holds and takes over one of a dead process', async () => {
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

  it('judges a holder on another host by its last beat', () => {
    writeFileSync(file, '1 elsewhere\n');
    expect(() => lockFolder('pg', file)).toThrow('host elsewhere');
    utimesSync(file, 0, 0);
    lockFolder('pg', file).release();
  });

  it('takes over a lock with its own pid, as left by the same container before a restart', () => {
    writeFileSync(file, `${process.pid} ${hostname()}\n`);
    lockFolder('pg', file).release();
  });
});
