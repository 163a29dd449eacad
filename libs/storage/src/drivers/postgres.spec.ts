import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually, freePort, startPostgres, type PostgresServer } from '@yuxi/testing';
import { DatabaseUnavailableError } from '../storage.errors.js';
import { resolveStorageOptions, type StorageOptions } from '../storage.options.js';
import { openPostgres } from './postgres.driver.js';

const open = (databaseUrl: string, options: StorageOptions = {}) =>
  openPostgres({ ...resolveStorageOptions(options), databaseUrl });

describe('PostgreSQL', () => {
  let server: PostgresServer;
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());

  it('fails after startupWait when no server listens, without showing the password', async () => {
    const port = await freePort();
    const opening = open(`postgres://me:secret-word@127.0.0.1:${port}/x`, { startupWait: 300 });
    const error: unknown = await opening.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DatabaseUnavailableError);
    expect((error as Error).message).toMatch(new RegExp(`127.0.0.1:${port}/x .*ECONNREFUSED`));
    expect((error as Error).message).not.toContain('secret-word');
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('is not up'));
  });

  it('does not wait for an unknown database', async () => {
    const url = server.url.replace(/\/[^/]*$/, '/missing');
    await expect(open(url, { startupWait: '5m' })).rejects.toThrow('database "missing" does not exist');
  });

  it('waits for a server that starts', async () => {
    await server.kill();
    const opening = open(server.url);
    await server.restart();
    const driver = await opening;
    expect((await driver.sql.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await driver.close();
  });

  it('survives the loss of idle connections and of one inside a transaction', async () => {
    const driver = await open(server.url);
    const cut = driver.sql.transaction(async (tx) => {
      await tx.query('SELECT 1');
      await server.kill();
      await server.restart();
      await tx.query('SELECT 1');
    });
    await expect(cut).rejects.toThrow();
    await eventually(() => driver.sql.query('SELECT 1'));
    await driver.close();
  });

  it('cancels statements that take longer than statementTimeout', async () => {
    const driver = await open(server.url, { statementTimeout: 50 });
    await expect(driver.sql.query('SELECT pg_sleep(5)')).rejects.toThrow('statement timeout');
    await driver.close();
  });

  it('counts its open and idle connections, and the callers that wait for one', async () => {
    const driver = await open((await server.createDatabase()).url, { poolSize: 1 });
    const { sql, connections } = driver;
    let seen: unknown;
    let waiting: Promise<unknown> | undefined;
    await sql.transaction(async () => {
      waiting = sql.query('SELECT 1');
      seen = connections!();
    });
    await waiting;
    expect(seen).toEqual({ open: 1, idle: 0, waiting: 1 });
    expect(connections!()).toEqual({ open: 1, idle: 1, waiting: 0 });
    await driver.close();
  });
});

it.each([
  [{ databaseUrl: 'mysql://x:secret@h/d' }, 'databaseUrl'],
  [{ poolSize: 0 }, 'poolSize'],
  [{ startupWait: 'soon' }, 'startupWait'],
  [{ statementTimeout: Number.NaN }, 'statementTimeout'],
])('options of the storage: %j is refused', (options, name) => {
  expect(() => resolveStorageOptions(options)).toThrow(name);
});
