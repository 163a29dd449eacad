import { afterAll, afterEach, beforeAll, beforeEach, describe } from '@jest/globals';
import type { DynamicModule } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@yuxi/testing';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { z } from 'zod';
import {
  QueueAdmin,
  QueueLimits,
  TaskQueue,
  type TasksOptions,
  TasksModule,
  tasksMigrations,
  WorkerSize,
} from '../../../libs/tasks/src/index.js';
import { TaskRegistry } from '../../../libs/tasks/src/task.registry.js';
import type { Handlers } from './replica.js';

/** What one process offers for tasks. */
export interface Site {
  queue: TaskQueue;
  queues: QueueAdmin;
  limits: QueueLimits;
  size: WorkerSize;
  stop(): Promise<void>;
}

export interface Engine {
  kind: 'rows' | 'streams';
  /** Starts a process with these handlers. With `worker: false` it runs none of them. */
  site: (handlers: Handlers, options?: TasksOptions) => Promise<Site>;
  /** A direct connection to the Redis of the queue; undefined for rows. */
  redis: Redis;
}

/** Runs the same tests on both engines. */
export function onBothEngines(title: string, body: (engine: Engine) => void): void {
  describe.each(['rows', 'streams'] as const)(`${title} as %s`, (kind) => runOn(kind, body));
}

export function onStreams(title: string, body: (engine: Engine) => void): void {
  describe(title, () => runOn('streams', body));
}

function runOn(kind: Engine['kind'], body: (engine: Engine) => void): void {
  let redis: RedisServer | undefined;
  let postgres: PostgresServer | undefined;
  let databaseUrl = '';
  let pool: Pool | undefined;
  const sites = new Set<TestingModule>();

  const modules = (options: TasksOptions): DynamicModule[] => {
    const tasks = TasksModule.forRoot({
      engine: kind,
      pollInterval: 20,
      lease: 2000,
      shutdownGrace: 100,
      ...options,
      streams: { lease: 2000, ...options.streams },
    });
    const store = redis
      ? RedisModule.forRoot({ url: redis.url })
      : StorageModule.forRoot({ databaseUrl, migrations: tasksMigrations });
    return [store, tasks];
  };

  const engine: Engine = {
    kind,
    redis: undefined as unknown as Redis,
    site: async (handlers, options = {}) => {
      const site = await Test.createTestingModule({ imports: modules(options) }).compile();
      const registry = site.get(TaskRegistry, { strict: false });
      for (const [name, { run, ...rest }] of Object.entries(handlers)) {
        const all = { name, schema: z.any(), retry: { backoff: 10 }, ...rest };
        registry.add(all, 'a test', (payload, context) => run(payload as never, context));
      }
      sites.add(site);
      await site.init();
      return {
        queue: site.get(TaskQueue),
        queues: site.get(QueueAdmin),
        limits: site.get(QueueLimits),
        size: site.get(WorkerSize),
        stop: async () => {
          sites.delete(site);
          await site.close();
        },
      };
    },
  };

  beforeAll(async () => {
    if (kind === 'streams') {
      redis = await startRedis();
      engine.redis = new Redis(redis.url);
    } else {
      postgres = await startPostgres();
      databaseUrl = (await postgres.createDatabase()).url;
      pool = new Pool({ connectionString: databaseUrl });
    }
  });
  beforeEach(async () => {
    await (redis ? engine.redis.flushall() : clear(pool!));
  });
  afterEach(async () => {
    const all = [...sites];
    sites.clear();
    await Promise.all(all.map((site) => site.close()));
  });
  afterAll(async () => {
    engine.redis?.disconnect();
    await pool?.end();
    await Promise.all([redis?.stop(), postgres?.stop()]);
  });
  body(engine);
}

/** There are no tables before the first site. */
async function clear(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ there: boolean }>(`SELECT to_regclass('tasks') IS NOT NULL AS there`);
  if (rows[0]!.there) await pool.query('TRUNCATE tasks, task_queues, task_rates, task_effects CASCADE');
}
