import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import type { PostgresServer } from './postgres-server.js';
import { startPostgres } from './start-postgres.js';

async function one(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

describe('startPostgres', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.stop());

  it('starts a server without fsync, unless it must be durable', async () => {
    expect(await one(server.url, 'SHOW fsync')).toBe('off');
    const durable = await startPostgres({ durable: true });
    try {
      expect(await one(durable.url, 'SHOW fsync')).toBe('on');
    } finally {
      await durable.stop();
    }
  });

  it('creates databases that are independent of each other', async () => {
    const [a, b] = await Promise.all([server.createDatabase(), server.createDatabase()]);
    await one(a.url, 'CREATE TABLE only_in_a (id int)');
    expect(await one(b.url, "SELECT to_regclass('only_in_a')::text")).toBeNull();
    await a.drop();
    await b.drop();
    await expect(one(a.url, 'SELECT 1')).rejects.toThrow(/does not exist/);
  });

  it('starts a killed server again with its data', async () => {
    const database = await server.createDatabase();
    await one(database.url, 'CREATE TABLE kept AS SELECT 7 AS n');
    await one(server.url, 'CHECKPOINT');
    await server.kill();
    await expect(one(database.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
    await server.restart();
    expect(await one(database.url, 'SELECT n FROM kept')).toBe(7);
  });

  it('reports whether the vector extension works', async () => {
    const database = await server.createDatabase();
    const creating = one(database.url, 'CREATE EXTENSION vector').then(
      () => true,
      () => false,
    );
    expect(await creating).toBe(server.hasVector);
    await database.drop();
  });
});
