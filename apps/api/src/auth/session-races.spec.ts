import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';
import { openStorage, schema, type StorageDriver } from '@yuxi/storage';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { hashToken } from './opaque-token.js';
import { SessionStore } from './sessions.js';

/** Begins a transaction. @returns what commits it */
async function holding(sql: SqlClient, body: (tx: SqlClient) => Promise<unknown>) {
  const gate = new EventEmitter();
  const committed = once(gate, 'commit');
  let ended: Promise<void> | undefined;
  await new Promise<void>((resolve, reject) => {
    ended = sql.transaction(async (tx) => {
      await body(tx);
      resolve();
      await committed;
    });
    ended.catch(reject);
  });
  return async () => {
    gate.emit('commit');
    await ended;
  };
}

describe('a refresh and a change of password at the same moment', () => {
  let server: PostgresServer;
  let driver: StorageDriver;
  let store: SessionStore;
  let userId: number;
  let sessionId: string;
  let token: Buffer;
  const [refreshed, changed] = [hashToken('refreshed'), hashToken('changed')];

  beforeAll(async () => {
    server = await startPostgres();
    driver = await openStorage({ databaseUrl: (await server.createDatabase()).url });
    store = new SessionStore(driver.sql);
    const user = { userId: 'root', username: 'root', passwordHash: 'x', role: 'user' } as const;
    userId = (await driver.db.insert(schema.users).values(user).returning()).at(0)!.id;
  });
  beforeEach(async () => {
    await driver.sql.query('DELETE FROM sessions');
    await driver.sql.query('UPDATE users SET token_version = 0');
    token = hashToken(randomUUID());
    const opened = { userId, version: 0, refreshHash: token, lifeMs: 60_000, clientAddress: null, userAgent: null };
    sessionId = (await store.open(opened))!;
  });
  afterAll(async () => {
    await driver?.close();
    await server?.stop();
  });

  const changePassword = async (sql: SqlClient) => {
    await sql.query('UPDATE users SET token_version = 1 WHERE id = $1', [userId]);
    await store.renew(sessionId, 1, changed, sql);
  };
  const lockWait = () =>
    eventually(
      async () => {
        const { rows } = await driver.sql.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
        return rows.length > 0;
      },
      { describe: 'a statement to wait for a lock' },
    );
  const unused = async () =>
    (await driver.sql.query<{ hash: Buffer }>('SELECT hash FROM refresh_tokens WHERE used_at IS NULL')).rows;

  it('refresh first: its new token is invalidated with the others', async () => {
    const commit = await holding(driver.sql, (tx) => new SessionStore(tx).rotate(token, refreshed));
    const change = driver.sql.transaction(changePassword);
    await Promise.race([lockWait(), change]);
    await commit();
    await change;
    expect(await unused()).toEqual([{ hash: changed }]);
    expect(await store.rotate(refreshed, hashToken('more'))).toBeUndefined();
  });

  it('change first: the refresh is refused', async () => {
    const commit = await holding(driver.sql, changePassword);
    const refresh = store.rotate(token, refreshed);
    await Promise.race([lockWait(), refresh]);
    await commit();
    expect(await refresh).toBeUndefined();
    expect(await unused()).toEqual([{ hash: changed }]);
    expect(await store.caller({ userId, version: 1, sessionId })).toMatchObject({ id: userId });
    expect(await store.caller({ userId, version: 0, sessionId })).toBeUndefined();
  });

  it('logout first: the refresh is refused', async () => {
    const commit = await holding(driver.sql, (tx) => new SessionStore(tx).end(sessionId));
    const refresh = store.rotate(token, refreshed);
    await Promise.race([lockWait(), refresh]);
    await commit();
    expect(await refresh).toBeUndefined();
    expect(await store.caller({ userId, version: 0, sessionId })).toBeUndefined();
  });

  it('control: a constraint of the database refuses a second unused token', async () => {
    const insert = 'INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)';
    await expect(driver.sql.query(insert, [refreshed, sessionId])).rejects.toThrow(/refresh_tokens_one_unused/);
  });
});
