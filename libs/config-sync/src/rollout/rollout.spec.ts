import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { SqlClient } from '@yuxi/core';
import { openStorage } from '@yuxi/storage';
import type { StorageDriver } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import { startReplica } from '../../../../test/support/config/start-replica.js';
import type { Replica, ReplicaOptions, Settings } from '../../../../test/support/config/start-replica.js';
import { configMigrations, OnConfigChange } from '../index.js';
import { hashOf } from '../schema/json.js';

/** So that a replica is missing after 300 ms. */
const QUICK = 100;

/** A database that one replica can be cut off from. */
class Cable {
  cut = false;
  readonly sql: SqlClient;

  constructor(sql: SqlClient) {
    const check = () => (this.cut ? Promise.reject(new Error('cable cut')) : Promise.resolve());
    this.sql = {
      query: async (...args) => check().then(() => sql.query(...args)) as never,
      transaction: async (...args) => check().then(() => sql.transaction(...args)),
    };
  }
}

const states = async ({ rollout }: Replica) =>
  Object.fromEntries((await rollout.status()).replicas.map(({ id, state }) => [id, state]));

describe('a rollout', () => {
  let storage: StorageDriver;
  let scope: string;
  const replicas: Replica[] = [];

  const start = async (replica: string, options: Partial<ReplicaOptions> = {}) => {
    const started = await startReplica({ sql: storage.sql, scope, replica, reconcileEvery: QUICK, ...options });
    replicas.push(started);
    return started;
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

  it('has converged when every replica serves the head', async () => {
    const [a] = [await start('a'), await start('b')];
    const { revision, hash } = await a.live.update({ general: { title: 'one' } });
    const rollout = await a.rollout.wait(5000);
    expect(rollout).toMatchObject({ revision, hash, converged: true });
    expect(rollout.replicas).toEqual([
      { id: 'a', state: 'serving', revision: 1, silentMs: expect.any(Number) },
      { id: 'b', state: 'serving', revision: 1, silentMs: expect.any(Number) },
    ]);
  });

  it('has not while one replica is cut off, which is named as missing and never leaves the count', async () => {
    const cable = new Cable(storage.sql);
    const [a, b] = [await start('a'), await start('b', { sql: cable.sql })];
    await a.rollout.wait(5000);
    cable.cut = true;
    await a.live.update({ general: { title: 'unheard' } });
    const outcome = await a.rollout.wait(QUICK * 6);
    expect(outcome.converged).toBe(false);
    expect(outcome.replicas).toMatchObject([
      { id: 'a', state: 'serving' },
      { id: 'b', state: 'missing', revision: 0 },
    ]);
    // Control: with the cable whole it serves the head, and the rollout is through.
    cable.cut = false;
    expect(await a.rollout.wait(5000)).toMatchObject({ converged: true });
    expect(b.live.revision).toBe(1);
  });

  it('names a replica that went silent although it served the head', async () => {
    const cable = new Cable(storage.sql);
    const [a] = [await start('a'), await start('b', { sql: cable.sql })];
    expect(await a.rollout.wait(5000)).toMatchObject({ converged: true });
    cable.cut = true;
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', b: 'missing' }));
    expect((await a.rollout.status()).converged).toBe(false);
  });

  it('counts neither a replica that shut down nor one that an operator gave up, nor one that was silent for an hour', async () => {
    const cable = new Cable(storage.sql);
    const [a, b] = [await start('a'), await start('b'), await start('c', { sql: cable.sql })];
    await b.close();
    replicas.splice(1, 1);
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', c: 'serving' }));
    cable.cut = true;
    expect(await a.rollout.forget('c')).toBe(true);
    expect(await a.rollout.forget('c')).toBe(false);
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving' }));
    cable.cut = false;
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', c: 'serving' }));
    await storage.sql.query(
      `INSERT INTO config_replica (scope, replica, instance, seen_at) VALUES ($1, 'old', 'x', now() - interval '61 min')`,
      [scope],
    );
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', c: 'serving' }));
  });

  it('says which replica refused the revision, and why', async () => {
    class Picky {
      @OnConfigChange('general')
      on({ title }: Settings['general']): void {
        if (title === 'wrong') throw new Error('that title is taken');
      }
    }
    const [a] = [await start('a'), await start('b', { providers: [Picky] })];
    await a.live.update({ general: { title: 'wrong' } });
    await eventually(async () =>
      expect((await a.rollout.status()).replicas[1]).toMatchObject({
        id: 'b',
        state: 'rejected',
        revision: 0,
        reason: 'Picky.on: that title is taken',
      }),
    );
    await a.live.update({ general: { title: 'right' } });
    expect(await a.rollout.wait(5000)).toMatchObject({ converged: true, revision: 2 });
  });

  it('names a replica that serves only the valid part of what is stored', async () => {
    const a = await start('a');
    await storage.sql.query(
      `UPDATE config_head SET revision = 1, hash = $2, snapshot = '{"general":{"chunk_size":7}}' WHERE scope = $1`,
      [scope, hashOf({ general: { chunk_size: 7 } })],
    );
    await eventually(async () => expect(await a.metric('yuxi_config_apply_failures_total')).toBeGreaterThan(0));
    await start('b');
    await eventually(async () => expect(await states(a)).toEqual({ a: 'rejected', b: 'rejected' }));
  });

  it('a process that takes the name of one that died stands in its place; one of two that live takes another name', async () => {
    const a = await start('a');
    await storage.sql.query(
      `INSERT INTO config_replica (scope, replica, instance, revision) VALUES ($1, 'pod', 'died', 0)`,
      [scope],
    );
    const pod = await start('pod');
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', pod: 'serving' }));
    await start('pod');
    await eventually(async () => {
      const names = Object.keys(await states(a));
      expect(names).toEqual(['a', 'pod', expect.stringMatching(/^pod~[0-9a-f]{4}$/)]);
    });
    expect(await pod.rollout.wait(5000)).toMatchObject({ converged: true });
  });
});
