import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { SqlClient } from '@yuxi/core';
import { openStorage, type StorageDriver } from '@yuxi/storage';
import { eventually, startPostgres, type PostgresServer } from '@yuxi/testing';
import { gate, MortalStore, Replica, type Handlers } from '../../../test/support/tasks/replica.js';
import { tasksMigrations } from './migrations/index.js';
import { TaskHandedBackError, TaskLostError } from './tasks.errors.js';
import type { TaskContext, TaskStatus } from './task.types.js';
import type { TasksOptions } from './tasks.options.js';
import { WorkerStore, type ClaimedTask, type Outcome } from './worker/worker.store.js';

const compiled = new URL('../dist/index.js', import.meta.url);
const LEASE = 2000;

/** The control: it reads first and updates afterwards, as a queue without row locks would. */
class CarelessStore extends WorkerStore {
  override async claim(): Promise<ClaimedTask[]> {
    const { rows } = await this.sql.query<ClaimedTask>(
      `SELECT * FROM tasks WHERE status = 'pending' AND NOT is_group ORDER BY run_at, id LIMIT 4`,
    );
    await this.sql.query(
      `UPDATE tasks SET status = 'running', run = run + 1, attempt = attempt + 1, worker = $2 WHERE id = ANY($1)`,
      [rows.map(({ id }) => id), this.worker],
    );
    return rows.map((row) => ({ ...row, run: row.run + 1, attempt: row.attempt + 1 }));
  }
}

/** Refuses one outcome, as a database refuses data that it cannot store. */
class PickyStore extends WorkerStore {
  override finish(outcomes: readonly Outcome[]): Promise<string[]> {
    if (outcomes.some(({ result }) => result === 'bad')) throw Object.assign(new Error('bad data'), { code: '22P02' });
    return super.finish(outcomes);
  }
}

const becomes = (of: Replica, id: string, status: TaskStatus) =>
  eventually(
    async () => {
      const task = await of.service.get(id);
      expect(task.status).toBe(status);
      return task;
    },
    { timeout: 15_000 },
  );
const attempt = (_: unknown, context: { attempt: number }) => context.attempt;

describe('a task under faults', () => {
  let server: PostgresServer;
  let url: string;
  let driver: StorageDriver;
  let sql: SqlClient;
  const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  const replica = (handlers: Handlers, options?: TasksOptions, store?: WorkerStore) =>
    new Replica(sql, handlers, options, store);

  beforeAll(async () => {
    // A commit must be durable, because one test kills the server.
    server = await startPostgres({ settings: { synchronous_commit: 'on' } });
    ({ url } = await server.createDatabase());
    driver = await openStorage({ databaseUrl: url, migrations: tasksMigrations, poolSize: 20 });
    sql = driver.sql;
  });
  beforeEach(() => sql.query('DELETE FROM tasks'));
  afterEach(() => Replica.stopAll());
  afterAll(async () => {
    await driver?.close();
    await server?.stop();
  });

  const race = async (store?: () => WorkerStore) => {
    const runs = new Map<number, number>();
    const workers = new Set<number>();
    const three = [0, 1, 2].map((worker) =>
      replica(
        {
          count: {
            run: async (n: number) => {
              runs.set(n, (runs.get(n) ?? 0) + 1);
              workers.add(worker);
              await new Promise((resolve) => setTimeout(resolve, 2));
            },
          },
        },
        {},
        store?.(),
      ),
    );
    const id = await three.at(0)!.queue.enqueueGroup(
      'count',
      Array.from({ length: 300 }, (_, n) => n),
    );
    for (const each of three) each.start();
    await eventually(() => expect(runs.size).toBe(300), { timeout: 15_000 });
    return { id, first: three.at(0)!, workers, twice: [...runs.values()].filter((count) => count > 1).length };
  };

  it('runs once when 300 are spread over three workers', async () => {
    const { id, first, workers, twice } = await race();
    expect(await becomes(first, id, 'success')).toMatchObject({ message: '300 of 300' });
    expect(twice).toBe(0);
    expect(workers.size).toBe(3);
  });

  it('control: runs twice when claims do not lock their rows', async () => {
    expect((await race(() => new CarelessStore(sql, LEASE))).twice).toBeGreaterThan(0);
  });

  it('runs again after its worker stopped its heartbeat, and the late outcome of that worker is ignored', async () => {
    const { opened, open } = gate();
    const store = new MortalStore(sql, LEASE);
    let signal: AbortSignal | undefined;
    const handlers = (who: string, wait?: Promise<void>): Handlers => ({
      t: {
        run: async (_: unknown, context) => {
          signal ??= context.signal;
          await wait;
          return `${who} ${context.attempt}`;
        },
      },
    });
    const dying = replica(handlers('dead', opened), {}, store).start();
    const id = await dying.queue.enqueue('t', 1);
    await becomes(dying, id, 'running');
    store.die();
    const living = replica(handlers('living')).start();
    expect((await becomes(living, id, 'success')).result).toBe('living 2');
    await eventually(() => expect(signal?.reason).toBeInstanceOf(TaskLostError));
    open();
    // The last statement of the dead worker, sent late.
    const late = new WorkerStore(sql, LEASE);
    Object.defineProperty(late, 'worker', { value: store.worker });
    await late.finish([{ id, run: 1, status: 'failed', error: 'late' }]);
    expect((await living.service.get(id)).result).toBe('living 2');
  });

  it('fails with the reason when its workers keep disappearing', async () => {
    const store = new MortalStore(sql, LEASE);
    const dying = replica(
      { t: { retry: { attempts: 1 }, run: () => new Promise(() => undefined) } },
      {},
      store,
    ).start();
    const id = await dying.queue.enqueue('t', 1);
    await becomes(dying, id, 'running');
    store.die();
    expect((await becomes(replica({}).start(), id, 'failed')).error).toMatch(/stopped without a report.*after 1/);
  });

  it('is recovered from a killed process', async () => {
    if (!existsSync(compiled)) {
      new Logger('skip').log('libs/tasks is not compiled: run npm run build');
      return;
    }
    const script = `import 'reflect-metadata'; import { NestFactory } from '@nestjs/core'; import { Module } from '@nestjs/common';
      import { StorageModule } from '@yuxi/storage'; import { Task, TasksModule } from '@yuxi/tasks'; import { z } from 'zod';
      class Work { hang() { console.log('running'); return new Promise(() => {}); } }
      const task = Object.getOwnPropertyDescriptor(Work.prototype, 'hang');
      Task({ name: 't', schema: z.any() })(Work.prototype, 'hang', task);
      class App {}
      Module({ imports: [StorageModule.forRoot({ databaseUrl: process.argv[1] }), TasksModule.forRoot({ lease: ${LEASE} })], providers: [Work] })(App);
      const app = await NestFactory.createApplicationContext(App, { logger: ['error'] });
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const one = replica({ t: { run: () => 'recovered' } });
    const id = await one.queue.enqueue('t', 1);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await one.service.get(id)).status).toBe('running');
    one.start();
    expect((await becomes(one, id, 'success')).result).toBe('recovered');
  });

  it('keeps running on its worker when another replica starts', async () => {
    const { opened, open } = gate();
    let begun = 0;
    const run = () => (begun++, opened);
    const busy = replica({ t: { run } }).start();
    const id = await busy.queue.enqueue('t', 1);
    await becomes(busy, id, 'running');
    const fresh = replica({ t: { run: () => 'stolen' } }).start();
    await becomes(fresh, await fresh.queue.enqueue('t', 2), 'success');
    // Longer than a lease, which must have been renewed.
    await new Promise((resolve) => setTimeout(resolve, LEASE * 1.5));
    expect((await fresh.service.get(id)).status).toBe('running');
    expect(begun).toBe(1);
    open();
    expect((await becomes(fresh, id, 'success')).result).toBeNull();
  });

  it('is handed back when its worker shuts down, without counting the attempt', async () => {
    const reasons: unknown[] = [];
    const obedient = (_: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason);
          reject(new Error('stopped'));
        }),
      );
    const first = replica({ t: { run: obedient }, deaf: { run: () => new Promise(() => undefined) } }).start();
    const ids = [await first.queue.enqueue('t', 1), await first.queue.enqueue('deaf', 1)];
    for (const id of ids) await becomes(first, id, 'running');
    await first.stop();
    expect(reasons).toEqual([expect.any(TaskHandedBackError)]);
    for (const id of ids) expect((await first.service.get(id)).status).toBe('pending');
    const second = replica({ t: { run: attempt }, deaf: { run: attempt } }).start();
    for (const id of ids) expect((await becomes(second, id, 'success')).result).toBe(1);
  });

  it('ends within the grace of a shutdown', async () => {
    const begun = gate();
    const { opened, open } = gate();
    const run = () => {
      begun.open();
      return opened.then(() => 'done');
    };
    const one = replica({ t: { run } }, { shutdownGrace: '10s' }).start();
    const id = await one.queue.enqueue('t', 1);
    // The status of the row is not enough: a claim whose reply arrives after stop() began is handed back, as it must be.
    await begun.opened;
    const stopped = one.stop();
    open();
    await stopped;
    expect(await one.service.get(id)).toMatchObject({ status: 'success', result: 'done' });
  });

  it('is stored with its outcome although the database refuses that of another task', async () => {
    const one = replica({ t: { run: (result: string) => result } }, {}, new PickyStore(sql, LEASE));
    const ids = [
      await one.queue.enqueue('t', 'good'),
      await one.queue.enqueue('t', 'bad'),
      await one.queue.enqueue('t', 'fine'),
    ];
    one.start();
    expect((await becomes(one, ids.at(0)!, 'success')).result).toBe('good');
    expect((await becomes(one, ids.at(1)!, 'failed')).error).toContain('could not be stored');
    expect((await becomes(one, ids.at(2)!, 'success')).result).toBe('fine');
  });

  it.each<[string, number | string, boolean]>([
    ['keeps its lease', '5m', true],
    ['control: loses its lease when its process is blocked for maxBlock', 1000, false],
  ])(
    'whose handler blocks the event loop for longer than the lease: %s',
    async (_, maxBlock, kept) => {
      const seen: string[] = [];
      const run = (payload: unknown, context: TaskContext) => {
        // The lease thread has started with the task, and opens its connection meanwhile.
        const end = performance.now() + 3 * LEASE;
        while (performance.now() < end);
        seen.push(leaseOf(context.id));
        return payload;
      };
      const one = replica({ t: { run } }, { maxBlock }).start();
      const id = await one.queue.enqueue('t', 1);
      await becomes(one, id, 'success');
      // A task that lost its lease may begin again before the first attempt ends.
      expect(kept ? seen : seen.slice(0, 1)).toEqual([kept ? 'alive' : 'over']);
    },
    60_000,
  );

  /** Whether the lease of a task has expired. Another process reads it, because the loop of this one is blocked. */
  function leaseOf(id: string): string {
    const program = `
      const { Client } = require('pg');
      const client = new Client(process.argv[1]);
      client.connect()
        .then(() => client.query('SELECT lease_until > now() AS alive FROM tasks WHERE id = $1', [process.argv[2]]))
        .then(({ rows }) => { process.stdout.write(rows[0].alive ? 'alive' : 'over'); return client.end(); });`;
    return execFileSync(process.execPath, ['-e', program, url, id], { encoding: 'utf8' });
  }

  it('is carried on after an outage of the database, which is logged once', async () => {
    const { opened, open } = gate();
    const one = replica({ slow: { run: () => opened.then(() => 'kept') }, t: { run: () => 1 } }).start();
    const id = await one.queue.enqueue('slow', 1);
    await becomes(one, id, 'running');
    warn.mockClear();
    await server.kill();
    open();
    await eventually(() => expect(warn).toHaveBeenCalledWith(expect.stringContaining('the database does not answer')));
    await server.restart();
    expect((await becomes(one, id, 'success')).result).toBe('kept');
    await becomes(one, await one.queue.enqueue('t', 1), 'success');
    const logged = warn.mock.calls.filter(([text]) => String(text).includes('does not answer'));
    expect(logged).toHaveLength(1);
  });
});
