import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import { openStorage } from '@yuxi/storage';
import { startPostgres } from '@yuxi/testing';
import { ConfigConflictError, ConfigUnavailableError } from './config-sync.errors.js';
import { type ConfigHead, ConfigStore } from './config.store.js';
import { configMigrations } from './migrations/index.js';
import { type JsonObject, mergePatch } from './schema/json.js';

interface Opened {
  sql: SqlClient;
  close(): Promise<void>;
}

async function onPostgres(): Promise<Opened> {
  const server = await startPostgres();
  const { url } = await server.createDatabase();
  const driver = await openStorage({ databaseUrl: url, migrations: configMigrations });
  return {
    sql: driver.sql,
    close: async () => {
      await driver.close();
      await server.stop();
    },
  };
}

const onPglite = (): Promise<Opened> => openStorage({ migrations: configMigrations });

const write = (store: ConfigStore, patch: JsonObject, ifRevision?: number): Promise<ConfigHead> =>
  store.commit({
    patch,
    ifRevision,
    author: 'me',
    reason: 'why',
    next: (stored) => mergePatch(stored, patch) as JsonObject,
  });

function refuse(): never {
  throw new Error('no');
}

describe.each([
  ['PostgreSQL', onPostgres],
  ['PGlite', onPglite],
])('head and history on %s', (_name, open) => {
  let opened: Opened;
  const newStore = () => {
    const scope = randomUUID();
    return { scope, store: new ConfigStore(opened.sql, { scope }) };
  };

  beforeAll(async () => {
    opened = await open();
  });
  afterAll(async () => {
    await opened.close();
  });

  it('the first read makes one head, also when many replicas start at once', async () => {
    const { store } = newStore();
    const heads = await Promise.all(Array.from({ length: 8 }, () => store.read()));
    expect(new Set(heads.map(({ epoch }) => epoch)).size).toBe(1);
    expect(heads[0]).toMatchObject({ revision: 0, stored: {} });
  });

  it('a read returns the known head while nothing changed', async () => {
    const { store } = newStore();
    const head = await store.read();
    expect(await store.read(head)).toBe(head);
    const next = await write(store, { general: { title: 'A' } });
    expect(await store.read(head)).toEqual(next);
  });

  it('50 concurrent writers make 50 revisions without a gap, and no change is lost', async () => {
    const { store, scope } = newStore();
    await store.read();
    const writers = Array.from({ length: 50 }, (_, writer) => write(store, { general: { [`key${writer}`]: writer } }));
    const revisions = (await Promise.all(writers)).map(({ revision }) => revision).sort((a, b) => a - b);
    expect(revisions).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    const { stored, revision } = await store.read();
    expect(revision).toBe(50);
    expect(Object.keys(stored['general'] as JsonObject)).toHaveLength(50);
    const { rows } = await opened.sql.query('SELECT revision FROM config_revision WHERE scope = $1', [scope]);
    expect(rows).toHaveLength(50);
  });

  it('of 50 writers that name the same revision exactly one succeeds; the others get the present revision', async () => {
    const { store } = newStore();
    await store.read();
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, writer) => write(store, { general: { writer } }, 0)),
    );
    const refused = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown);
    expect(refused).toHaveLength(49);
    for (const error of refused) expect(error).toMatchObject({ code: 'CONFIG_CONFLICT', expected: 0, revision: 1 });
    expect(refused[0]).toBeInstanceOf(ConfigConflictError);
  });

  it('a refused change leaves head and history unchanged', async () => {
    const { store, scope } = newStore();
    const head = await store.read();
    await expect(store.commit({ patch: {}, next: refuse, author: 'me', reason: '' })).rejects.toThrow('no');
    expect(await store.read(head)).toBe(head);
    const { rows } = await opened.sql.query('SELECT 1 FROM config_revision WHERE scope = $1', [scope]);
    expect(rows).toHaveLength(0);
  });

  it('a revision keeps its author, time, reason and patch', async () => {
    const { store, scope } = newStore();
    await store.read();
    await write(store, { general: { title: 'A' } });
    await write(store, { general: { title: 'B' } });
    const { rows } = await opened.sql.query(
      'SELECT patch, snapshot, author, reason, created_at FROM config_revision WHERE scope = $1 ORDER BY revision',
      [scope],
    );
    expect(rows[1]).toMatchObject({
      patch: { general: { title: 'B' } },
      snapshot: { general: { title: 'B' } },
      author: 'me',
      reason: 'why',
    });
  });

  it('a missing head is an error for readers and writers, and never an empty configuration', async () => {
    const { store, scope } = newStore();
    const head = await store.read();
    await opened.sql.query('DELETE FROM config_head WHERE scope = $1', [scope]);
    await expect(store.read(head)).rejects.toBeInstanceOf(ConfigUnavailableError);
    await expect(write(store, { general: {} })).rejects.toBeInstanceOf(ConfigUnavailableError);
    const { rows } = await opened.sql.query('SELECT 1 FROM config_head WHERE scope = $1', [scope]);
    expect(rows).toHaveLength(0);
  });

  it('a snapshot that does not match its hash is refused', async () => {
    const { store, scope } = newStore();
    await store.read();
    await opened.sql.query(`UPDATE config_head SET snapshot = '{"general":{"title":"x"}}' WHERE scope = $1`, [scope]);
    await expect(store.read()).rejects.toThrow(/does not match its hash/);
  });

  it('of two concurrent renewals exactly one starts a new epoch', async () => {
    const { store } = newStore();
    const head = await store.read();
    await Promise.all([store.renewEpoch(head), store.renewEpoch(head)]);
    const next = await store.read(head);
    expect(next.epoch).not.toBe(head.epoch);
    await store.renewEpoch(head);
    expect((await store.read(next)).epoch).toBe(next.epoch);
  });
});
