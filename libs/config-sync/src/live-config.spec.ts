import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import type { SqlClient } from '@yuxi/core';
import { openStorage } from '@yuxi/storage';
import type { StorageDriver } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import { startReplica } from '../../../test/support/config/start-replica.js';
import type { Replica, ReplicaOptions, Settings } from '../../../test/support/config/start-replica.js';
import { ConfigStore } from './config.store.js';
import { type ConfigChangeInfo, configMigrations, OnConfigChange } from './index.js';

const SLOW = '1h';

describe('LiveConfig without Redis', () => {
  let storage: StorageDriver;
  const replicas: Replica[] = [];
  let scope = 0;

  const start = async (options: Partial<ReplicaOptions> = {}) => {
    const replica = await startReplica({ sql: storage.sql, scope: `s${scope}`, reconcileEvery: SLOW, ...options });
    replicas.push(replica);
    return replica;
  };

  beforeAll(async () => {
    storage = await openStorage({ migrations: configMigrations });
  });
  beforeEach(() => {
    scope++;
  });
  afterEach(async () => {
    await Promise.all(replicas.splice(0).map((replica) => replica.close()));
  });
  afterAll(() => storage.close());

  it('serves the defaults of a new scope, then each update at once, as frozen objects', async () => {
    const { live, metric } = await start();
    expect(live.snapshot()).toMatchObject({ revision: 0, values: { general: { chunk_size: 1024 } } });
    const before = live.get();
    const update = await live.update({ general: { chunk_size: 512 } }, { author: 'ann', reason: 'smaller' });
    expect(update).toMatchObject({ revision: 1, applied: true });
    expect(live.section('general').chunk_size).toBe(512);
    expect(before.general.chunk_size).toBe(1024);
    expect(Object.isFrozen(live.get().general.languages)).toBe(true);
    expect(await metric('yuxi_config_revision')).toBe(1);
    expect(await metric('yuxi_config_applied_revision')).toBe(1);
  });

  it('an invalid patch changes nothing; an empty one makes no revision', async () => {
    const { live } = await start();
    const wrong = { general: { chunk_size: 'x', title: 'A' } };
    await expect(live.update(wrong)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await live.update({})).toMatchObject({ revision: 0, applied: true });
    expect(live.snapshot()).toMatchObject({ revision: 0, values: { general: { title: 'Yuxi' } } });
  });

  it.each([-1, 1.5, Number.NaN])('ifRevision %s is refused', async (ifRevision) => {
    const { live } = await start();
    await expect(live.update({ general: {} }, { ifRevision })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('concurrent changes of different keys on two replicas both succeed', async () => {
    const [a, b] = [await start(), await start()];
    await Promise.all([a.live.update({ general: { title: 'A' } }), b.live.update({ general: { chunk_size: 99 } })]);
    await Promise.all([a.live.refresh(), b.live.refresh()]);
    for (const { live } of [a, b])
      expect(live.snapshot()).toMatchObject({ revision: 2, values: { general: { title: 'A', chunk_size: 99 } } });
  });

  it('a failed read keeps the configuration and makes health degraded until the next successful read', async () => {
    let broken: Error | undefined;
    const query: SqlClient['query'] = (text, params) =>
      broken ? Promise.reject(broken) : storage.sql.query(text, params);
    const sql: SqlClient = { query, transaction: (body) => storage.sql.transaction(body) };
    const { live, metric, health } = await start({ sql, reconcileEvery: 100 });
    await live.update({ general: { title: 'kept' } });
    broken = new Error('connection lost');
    await eventually(async () => (await metric('yuxi_config_apply_failures_total', { reason: 'read' })) >= 2);
    expect(live.section('general').title).toBe('kept');
    await eventually(async () => expect((await health.ask('config')).status).toBe('degraded'));
    expect(await metric('yuxi_config_stale_seconds')).toBeGreaterThan(0);
    broken = undefined;
    await eventually(async () => expect((await health.ask('config')).status).toBe('up'));
  });

  it('a read that never ends is abandoned after its timeout', async () => {
    let hang = false;
    // Reads of the head only: the reporter has no timeout but that of the SQL client.
    const query: SqlClient['query'] = (text, params) =>
      hang && text.includes('config_head') ? new Promise(() => undefined) : storage.sql.query(text, params);
    const sql: SqlClient = { query, transaction: (body) => storage.sql.transaction(body) };
    const { live } = await start({ sql, reconcileEvery: 100, readTimeout: 100 });
    const other = await start();
    hang = true;
    await other.live.update({ general: { title: 'late' } });
    await live.refresh();
    expect(live.revision).toBe(0);
    hang = false;
    await eventually(() => expect(live.section('general').title).toBe('late'));
  });

  it('a database failure during an update is a typed error, and the next update succeeds', async () => {
    let broken = true;
    const sql: SqlClient = {
      query: (text, params) => storage.sql.query(text, params),
      transaction: (body) =>
        broken ? Promise.reject(Object.assign(new Error('gone'), { code: '57P01' })) : storage.sql.transaction(body),
    };
    const { live } = await start({ sql });
    const failure = { code: 'CONFIG_UNAVAILABLE', retryable: true };
    await expect(live.update({ general: { title: 'A' } })).rejects.toMatchObject(failure);
    broken = false;
    expect(await live.update({ general: { title: 'B' } })).toMatchObject({ revision: 1, applied: true });
  });

  it('starts without the database, serves no invented values, and recovers by itself', async () => {
    let unavailable = true;
    const query: SqlClient['query'] = (text, params) =>
      unavailable ? Promise.reject(new Error('refused')) : storage.sql.query(text, params);
    const sql: SqlClient = { query, transaction: (body) => storage.sql.transaction(body) };
    const { live, health } = await start({ sql, startupWait: 50 });
    expect(() => live.get()).toThrow(expect.objectContaining({ code: 'CONFIG_UNAVAILABLE' }));
    await expect(live.update({ general: { title: 'A' } })).rejects.toThrow();
    expect((await health.ask('config')).status).toBe('down');
    unavailable = false;
    await eventually(() => expect(live.revision).toBe(0));
  });

  it('a stored value that this build refuses is not applied, and the served values stay', async () => {
    const { live, metric } = await start();
    await new ConfigStore(storage.sql, { scope: `s${scope}` }).commit({
      patch: {},
      next: () => ({ general: { chunk_size: 9_999_999 } }),
      author: 'newer',
      reason: '',
    });
    await live.refresh();
    expect(live.snapshot()).toMatchObject({ revision: 0, values: { general: { chunk_size: 1024 } } });
    expect(await metric('yuxi_config_apply_failures_total', { reason: 'invalid' })).toBe(1);
    const late = await start();
    expect(late.live.snapshot()).toMatchObject({ revision: 1, values: { general: { chunk_size: 1024 } } });
  });

  it('follows a database that was restored from an older copy, under a new epoch', async () => {
    const { live } = await start();
    await live.update({ general: { title: 'first' } });
    await live.update({ general: { title: 'second' } });
    await storage.sql.query(
      `UPDATE config_head SET (epoch, revision, hash, snapshot) =
         (SELECT epoch, revision, hash, snapshot FROM config_revision WHERE scope = $1 AND revision = 1)
       WHERE scope = $1`,
      [`s${scope}`],
    );
    await live.refresh();
    expect(live.snapshot()).toMatchObject({ revision: 1, values: { general: { title: 'first' } } });
    // The history of the old epoch still has a revision 2. It must not conflict with the new one.
    expect(await live.update({ general: { title: 'third' } })).toMatchObject({ revision: 2, applied: true });
    const { rows } = await storage.sql.query('SELECT DISTINCT epoch FROM config_revision WHERE scope = $1', [
      `s${scope}`,
    ]);
    expect(rows).toHaveLength(2);
  });

  describe('@OnConfigChange', () => {
    @Injectable()
    class Listener {
      calls: [string, number, string | undefined][] = [];
      refuse = false;

      @OnConfigChange('general')
      general(next: Settings['general'], { revision, previous }: ConfigChangeInfo<Settings['general']>): void {
        if (this.refuse) throw new Error('not now');
        this.calls.push([next.title, revision, previous?.title]);
      }
    }

    const startWith = (listener: Listener, options: Partial<ReplicaOptions> = {}) =>
      start({ providers: [{ provide: Listener, useValue: listener }], ...options });

    it('is called at start-up and then for changes of its section only', async () => {
      const listener = new Listener();
      const { live } = await startWith(listener);
      await live.update({ model: { name: 'large' } });
      await live.update({ general: { title: 'A' } });
      expect(listener.calls).toEqual([
        ['Yuxi', 0, undefined],
        ['A', 2, 'Yuxi'],
      ]);
    });

    it('keeps the old revision in force while it throws, and is called again with the next reconcile', async () => {
      const listener = new Listener();
      const { live, metric } = await startWith(listener, { reconcileEvery: 100 });
      listener.refuse = true;
      expect(await live.update({ general: { title: 'A' } })).toMatchObject({ revision: 1, applied: false });
      expect(live.snapshot()).toMatchObject({ revision: 0, values: { general: { title: 'Yuxi' } } });
      expect(await metric('yuxi_config_revision')).toBe(1);
      expect(await metric('yuxi_config_applied_revision')).toBe(0);
      expect(await metric('yuxi_config_apply_failures_total', { reason: 'handler' })).toBeGreaterThan(0);
      listener.refuse = false;
      await eventually(() => expect(live.section('general').title).toBe('A'));
      expect(listener.calls.at(-1)).toEqual(['A', 1, 'Yuxi']);
    });

    it('that hangs is abandoned after its timeout', async () => {
      class Hanging {
        hang = false;
        @OnConfigChange('general')
        general(): Promise<void> | void {
          if (this.hang) return new Promise(() => undefined);
        }
      }
      const hanging = new Hanging();
      const { live } = await start({ providers: [{ provide: Hanging, useValue: hanging }], handlerTimeout: 50 });
      hanging.hang = true;
      expect(await live.update({ general: { title: 'A' } })).toMatchObject({ applied: false });
    });

    it('may update the configuration itself without a deadlock', async () => {
      const box: { live?: Replica['live'] } = {};
      class Updating {
        @OnConfigChange('model')
        async model({ name }: Settings['model']): Promise<void> {
          if (name === 'large') await box.live?.update({ general: { chunk_size: 4096 } });
        }
      }
      const { live } = await start({ providers: [Updating], handlerTimeout: 5000 });
      box.live = live;
      await live.update({ model: { name: 'large' } });
      await eventually(() => expect(live.section('general').chunk_size).toBe(4096), { timeout: 2000 });
    });

    it('for an unknown section, or twice for one, stops the boot', async () => {
      class Unknown {
        @OnConfigChange('generic')
        on(): void {}
      }
      class Twice {
        @OnConfigChange('general')
        @OnConfigChange('general')
        on(): void {}
      }
      await expect(start({ providers: [Unknown] })).rejects.toThrow(
        /one of general, model, got "generic" \(Unknown\.on\)/,
      );
      await expect(start({ providers: [Twice] })).rejects.toThrow(/Twice\.on/);
    });
  });
});
