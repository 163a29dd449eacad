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

/** With it, a replica is missing after 300 ms. */
const QUICK = 100;

/** A database whose connection to one replica can be cut. */
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

  it('does not converge while a replica is cut off; that replica stays listed as missing', async () => {
    const cable = new Cable(storage.sql);
    const [a, b] = [await start('a'), await start('b', { sql: cable.sql })];
    await a.rollout.wait(5000);
    cable.cut = true;
    await a.live.update({ general: { title: 'missed' } });
    const outcome = await a.rollout.wait(QUICK * 6);
    expect(outcome.converged).toBe(false);
    expect(outcome.replicas).toMatchObject([
      { id: 'a', state: 'serving' },
      { id: 'b', state: 'missing', revision: 0 },
    ]);
    // Control: after the connection is restored it serves the head, and the rollout converges.
    cable.cut = false;
    expect(await a.rollout.wait(5000)).toMatchObject({ converged: true });
    expect(b.live.revision).toBe(1);
  });

  it('lists a silent replica as missing although it served the head', async () => {
    const cable = new Cable(storage.sql);
    const [a] = [await start('a'), await start('b', { sql: cable.sql })];
    expect(await a.rollout.wait(5000)).toMatchObject({ converged: true });
    cable.cut = true;
    await eventually(async () => expect(await states(a)).toEqual({ a: 'serving', b: 'missing' }));
    expect((await a.rollout.status()).converged).toBe(false);
  });

  it('does not count a replica that shut down, one that an operator removed, or one that was silent for an hour', async () => {
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

  it('shows which replica refused the revision, and why', async () => {
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

  it('shows a replica as rejected that serves only the valid part of the stored values', async () => {
    const a = await start('a');
    await storage.sql.query(
      `UPDATE config_head SET revision = 1, hash = $2, snapshot = '{"general":{"chunk_size":7}}' WHERE scope = $1`,
      [scope, hashOf({ general: { chunk_size: 7 } })],
    );
    await eventually(async () => expect(await a.metric('yuxi_config_apply_failures_total')).toBeGreaterThan(0));
    await start('b');
    await eventually(async () => expect(await states(a)).toEqual({ a: 'rejected', b: 'rejected' }));
  });

  it('a new process replaces a dead one with its name; of two living ones, one changes its name', async () => {
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
