import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { requestContext } from '@yuxi/observability';
import { openStorage } from '@yuxi/storage';
import type { StorageDriver } from '@yuxi/storage';
import { startReplica } from '../../../test/support/config/start-replica.js';
import type { Replica } from '../../../test/support/config/start-replica.js';
import { configMigrations } from './index.js';

describe('changes of the configuration', () => {
  let storage: StorageDriver;
  let scope: string;
  const replicas: Replica[] = [];

  const start = async () => {
    const replica = await startReplica({ sql: storage.sql, scope, reconcileEvery: '1h' });
    replicas.push(replica);
    return replica.live;
  };

  beforeAll(async () => {
    storage = await openStorage({ migrations: configMigrations });
  });
  beforeEach(() => {
    scope = randomUUID();
  });
  afterEach(async () => {
    await Promise.all(replicas.splice(0).map((replica) => replica.close()));
  });
  afterAll(() => storage.close());

  it('are in the history with author, time, reason and the version of the schema', async () => {
    const live = await start();
    await live.update({ general: { title: 'A' } }, { author: 'ann', reason: 'first' });
    await live.update({ general: { title: null }, model: { name: 'large' } }, { author: 'bob' });
    const history = await live.history();
    expect(history).toMatchObject([
      { revision: 2, patch: { general: { title: null }, model: { name: 'large' } }, author: 'bob', reason: '' },
      { revision: 1, patch: { general: { title: 'A' } }, author: 'ann', reason: 'first' },
    ]);
    expect(history[0]!.createdAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(history[0]!.schemaVersion).toBe(live.schemaVersion);
    expect(await live.history({ before: 2, limit: 1 })).toMatchObject([{ revision: 1 }]);
    expect(await live.history({ before: 1 })).toEqual([]);
  });

  it('without an effect make no revision', async () => {
    const live = await start();
    await live.update({ general: { title: 'A' } });
    expect(await live.update({ general: { title: 'A' } })).toMatchObject({ revision: 1, applied: true });
    expect(await live.update({ model: { name: null } })).toMatchObject({ revision: 1 });
    expect(await live.history()).toHaveLength(1);
  });

  it('are rolled back by a new revision with the old content', async () => {
    const live = await start();
    await live.update({ general: { title: 'A' } });
    const { hash } = live.snapshot();
    await live.update({ general: { title: 'B', chunk_size: 99 } });
    expect(await live.rollback(1, { author: 'ann' })).toMatchObject({ revision: 3, hash, applied: true });
    expect(live.section('general')).toMatchObject({ title: 'A', chunk_size: 1024 });
    expect((await live.history())[0]).toMatchObject({ revision: 3, author: 'ann', reason: 'back to 1' });
    expect(await live.rollback(0)).toMatchObject({ revision: 4 });
    expect(live.section('general').title).toBe('Yuxi');
    await expect(live.rollback(77)).rejects.toMatchObject({ code: 'CONFIG_REVISION_NOT_FOUND', revision: 77 });
    await expect(live.rollback(1, { ifRevision: 3 })).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
  });

  it('are not rolled back to values that this build refuses', async () => {
    const live = await start();
    await live.update({ general: { title: 'A' } });
    await storage.sql.query(`UPDATE config_revision SET snapshot = '{"general":{"chunk_size":7}}' WHERE scope = $1`, [
      scope,
    ]);
    await expect(live.rollback(1)).rejects.toMatchObject({ errors: [{ path: 'general.chunk_size' }] });
    expect(live.revision).toBe(1);
  });

  it('can be previewed without a write', async () => {
    const live = await start();
    await live.update({ general: { title: 'A' } });
    const patch = { general: { title: null, chunk_size: 99 }, model: { name: 'large' } };
    expect(await live.preview(patch)).toMatchObject({
      revision: 1,
      changes: [
        { path: 'general.chunk_size', from: 1024, to: 99 },
        { path: 'general.title', from: 'A', to: 'Yuxi' },
        { path: 'model.name', from: 'small', to: 'large' },
      ],
    });
    await expect(live.preview({ model: { name: 'huge' } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(live.preview(patch, { ifRevision: 0 })).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
    expect(live.section('general').title).toBe('A');
    expect(await live.history()).toHaveLength(1);
  });

  it('on top of an old revision are refused, and the error lists the changes since', async () => {
    const [a, b] = [await start(), await start()];
    await a.update({ general: { title: 'A' } });
    await a.update({ general: { chunk_size: 99 } });
    await expect(b.update({ general: { title: 'B' } }, { ifRevision: 1 })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
      expected: 1,
      revision: 2,
      details: { revision: 2, changes: [{ path: 'general.chunk_size', from: 1024, to: 99 }] },
    });
    const { hash } = a.snapshot();
    await expect(a.update({ general: { title: 'B' } }, { ifRevision: 2, ifHash: 'beef' })).rejects.toMatchObject({
      code: 'CONFIG_CONFLICT',
    });
    expect(await a.update({ general: { title: 'B' } }, { ifRevision: 2, ifHash: hash.slice(0, 12) })).toMatchObject({
      revision: 3,
    });
  });

  it('do not change what a request sees after its first read, except its own changes', async () => {
    const live = await start();
    await requestContext.run({ requestId: 'r' }, async () => {
      expect(live.section('general').title).toBe('Yuxi');
      await requestContext.run({ requestId: 'other' }, () => live.update({ general: { title: 'A' } }));
      expect(live.section('general').title).toBe('Yuxi');
      expect(live.revision).toBe(0);
      await live.update({ model: { name: 'large' } });
      expect(live.snapshot()).toMatchObject({
        revision: 2,
        values: { general: { title: 'A' }, model: { name: 'large' } },
      });
    });
    // Control: without a request nothing is pinned.
    expect(live.section('general').title).toBe('A');
    await live.update({ general: { title: 'B' } });
    expect(live.section('general').title).toBe('B');
  });
});
