import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { type ChaosProxy, eventually, freePort, type PostgresServer, startPostgres, startProxy } from '@yuxi/testing';
import { openStorage } from '../open-storage.js';
import type { StorageOptions } from '../storage.options.js';
import type { StorageDriver } from './driver.js';

const SHORT = 150;

describe('PostgreSQL over a connection that fails', () => {
  let server: PostgresServer;
  let proxy: ChaosProxy;
  let driver: StorageDriver | undefined;
  let database: string;

  const open = async (options: StorageOptions = {}) => {
    driver = await openStorage({ databaseUrl: database, connectTimeout: 1000, poolSize: 1, ...options });
    return driver;
  };

  beforeAll(async () => {
    for (const level of ['warn', 'log', 'debug'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
    server = await startPostgres();
  });
  beforeEach(async () => {
    const { url } = await server.createDatabase();
    const { hostname, port } = new URL(url);
    proxy = await startProxy({ host: hostname, port: Number(port) });
    database = proxy.through(url);
  });
  afterEach(async () => {
    await driver?.close();
    driver = undefined;
    await proxy.stop();
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await server.stop();
  });

  it('a statement fails at its timeout, and its connection is closed', async () => {
    const { sql } = await open();
    const slow = sql.query('SELECT pg_sleep($1)', [5], { timeout: SHORT });
    await expect(slow).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT', retryable: true, timeout: SHORT });
    // The pool has one connection: it was replaced.
    expect((await sql.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    proxy.blackhole();
    await expect(sql.query('SELECT 1', [], { timeout: SHORT })).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT' });
    await proxy.heal();
    await eventually(async () => expect((await sql.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]));
  });

  it.each(['in its first statement', 'in a savepoint', 'at the commit'])(
    'a transaction fails at its timeout %s, and the pool stays usable',
    async (place) => {
      const { sql } = await open();
      await sql.script('CREATE TABLE t (n int)');
      const transaction = sql.transaction(
        async (tx) => {
          if (place === 'in its first statement') proxy.blackhole();
          await tx.query('INSERT INTO t VALUES (1)');
          if (place === 'in a savepoint')
            await tx.transaction(async (inner) => {
              proxy.blackhole();
              await inner.query('INSERT INTO t VALUES (2)');
            });
          if (place === 'at the commit') proxy.blackhole();
        },
        { timeout: SHORT },
      );
      await expect(transaction).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT' });
      await proxy.heal();
      await eventually(async () => expect((await sql.query('SELECT n FROM t')).rows).toEqual([]));
    },
  );

  it('a lost connection is reported as an unavailable database, and an error of a statement as it is', async () => {
    const { sql } = await open();
    await expect(sql.query('SELECT nonsense')).rejects.toMatchObject({ code: '42703' });
    const cut = sql.transaction(async (tx) => {
      await tx.query('SELECT 1');
      proxy.cut();
      await tx.query('SELECT 2');
    });
    await expect(cut).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
    await proxy.refuse();
    await expect(sql.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await proxy.heal();
    await eventually(() => sql.query('SELECT 1'));
  });

  it('starts without an unavailable server, and is ready with its schema when the server is available', async () => {
    await proxy.refuse();
    const { sql, db, ready } = await open({ startWithout: true, startupWait: 0 });
    let available = false;
    const isAvailable = ready.then(() => (available = true));
    await expect(sql.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await expect(sql.transaction(() => Promise.resolve(1))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await expect(db.execute('SELECT 1')).rejects.toMatchObject({ cause: { code: 'DATABASE_UNAVAILABLE' } });
    expect(available).toBe(false);
    await proxy.heal();
    await isAvailable;
    expect((await sql.query('SELECT count(*) AS n FROM users')).rows).toEqual([{ n: 0 }]);
  });

  // Else a failure would print the whole driver, which takes minutes.
  const opened = (options: Parameters<typeof open>[0]) => open(options).then(() => 'opened');

  it('does not start without an unknown database, nor without an unavailable server unless startWithout is set', async () => {
    const missing = database.replace(/\/[^/]*$/, '/missing');
    await expect(opened({ databaseUrl: missing, startWithout: true })).rejects.toThrow(/"missing" does not exist/);
    await proxy.refuse();
    await expect(opened({ startupWait: 0 })).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('can be closed while it still tries to connect', async () => {
    const unused = `postgres://127.0.0.1:${await freePort()}/x`;
    const trying = await open({ databaseUrl: unused, startWithout: true, startupWait: 0 });
    driver = undefined;
    await trying.close();
    await expect(open({ databaseUrl: unused, startupWait: 0 })).rejects.toThrow();
  });
});
