import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';
import { openStorage } from '@yuxi/storage';
import type { StorageDriver } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import { startReplica } from '../../../test/support/config/start-replica.js';
import type { Replica, ReplicaOptions, Settings } from '../../../test/support/config/start-replica.js';
import { configMigrations, OnConfigChange } from './index.js';

const gone = () => Promise.reject(new Error('refused'));

describe('the last known good configuration', () => {
  let storage: StorageDriver;
  let folder: string;
  let file: string;
  let scope: string;
  let unavailable = false;
  let sql: SqlClient;
  const replicas: Replica[] = [];

  const start = async (options: Partial<ReplicaOptions> = {}) => {
    const replica = await startReplica({ sql, scope, lastKnownGood: file, startupWait: 50, ...options });
    replicas.push(replica);
    return replica;
  };
  const stopAll = () => Promise.all(replicas.splice(0).map((replica) => replica.close()));
  const kept = () => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;

  beforeAll(async () => {
    storage = await openStorage({ migrations: configMigrations });
    folder = mkdtempSync(join(tmpdir(), 'yuxi-good-'));
    sql = {
      query: (...args) => (unavailable ? gone() : storage.sql.query(...args)) as never,
      transaction: (body) => (unavailable ? gone() : storage.sql.transaction(body)),
    };
  });
  beforeEach(() => {
    scope = randomUUID();
    file = join(folder, scope, 'config.json');
  });
  afterEach(async () => {
    await stopAll();
    unavailable = false;
  });
  afterAll(async () => {
    await storage.close();
    rmSync(folder, { recursive: true });
  });

  /** One replica sets the title, and its file is there. */
  async function leaveFile(title: string): Promise<void> {
    const { live } = await start();
    await live.update({ general: { title } });
    await stopAll();
  }

  it('is served and given to handlers when the database is unavailable at the start, until the database returns', async () => {
    await leaveFile('kept');
    const given: string[] = [];
    class Listener {
      @OnConfigChange('general')
      on({ title }: Settings['general']): void {
        given.push(title);
      }
    }
    unavailable = true;
    const { live, health } = await start({ providers: [Listener] });
    expect(live.section('general').title).toBe('kept');
    expect(given).toEqual(['kept']);
    expect(await health.ask('config')).toMatchObject({ status: 'degraded' });
    unavailable = false;
    const other = await start({ lastKnownGood: undefined });
    await other.live.update({ general: { title: 'newer' } });
    await eventually(() => expect(live.section('general').title).toBe('newer'));
    expect(given).toEqual(['kept', 'newer']);
    await eventually(async () => expect(await health.ask('config')).toMatchObject({ status: 'up' }));
  });

  it('is complete, readable only by its owner, and the only file in its folder', async () => {
    await leaveFile('private');
    expect(kept()).toMatchObject({ scope, revision: 1, stored: { general: { title: 'private' } } });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, scope))).toEqual(['config.json']);
  });

  it.each([
    ['is cut off', (text: string) => text.slice(0, 40)],
    ['was changed by hand', (text: string) => text.replace('"whole"', '"other"')],
    ['is of another scope', (text: string) => text.replace(scope, 'elsewhere')],
    ['is empty', () => ''],
    ['is null', () => 'null'],
  ])('is refused when it %s', async (_, damage) => {
    await leaveFile('whole');
    writeFileSync(file, damage(readFileSync(file, 'utf8')));
    unavailable = true;
    const { live } = await start();
    expect(() => live.get()).toThrow(expect.objectContaining({ code: 'CONFIG_UNAVAILABLE' }));
  });

  it('of another database is replaced as soon as the database is read', async () => {
    await leaveFile('old database');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"epoch":"[^"]*"/, '"epoch":"of another"'));
    unavailable = true;
    const { live } = await start();
    expect(live.section('general').title).toBe('old database');
    unavailable = false;
    await storage.sql.query(`UPDATE config_head SET revision = 0, snapshot = '{}', hash = $2 WHERE scope = $1`, [
      scope,
      '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    ]);
    await eventually(() => expect(live.section('general').title).toBe('Yuxi'));
  });

  it('that cannot be written does not stop an update', async () => {
    const blocked = join(folder, 'blocked');
    writeFileSync(blocked, '');
    chmodSync(blocked, 0o400);
    const { live } = await start({ lastKnownGood: join(blocked, 'config.json') });
    expect(await live.update({ general: { title: 'anyway' } })).toMatchObject({ applied: true });
  });
});
