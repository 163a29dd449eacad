import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from '@jest/globals';
import { type DynamicModule, Injectable, Module, Scope, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SQL_CLIENT } from '@yuxi/core';
import { HealthModule, HealthRegistry, METRICS, MetricsModule } from '@yuxi/observability';
import { RedisModule } from '@yuxi/redis';
import { StorageModule } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import {
  Task,
  TaskQueue,
  QueueAdmin,
  TaskService,
  TasksModule,
  tasksMigrations,
  type TaskContext,
  type TasksOptions,
} from './index.js';
import { TasksHealth } from './tasks.health.js';

const schema = z.object({ n: z.number() });

@Injectable()
class Work {
  readonly #factor = 2;

  @Task({ name: 'double', schema })
  double({ n }: { n: number }, _context: TaskContext) {
    return n * this.#factor;
  }
}

@Injectable()
class SameName {
  @Task({ name: 'double', schema })
  other() {
    return 0;
  }
}

@Injectable()
class Scheduled {
  @Task({ name: 'scheduled', schema, cron: { pattern: '* * * * *', payload: { n: 1 } } })
  run() {
    return 0;
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  @Task({ name: 'request', schema })
  run() {
    return 0;
  }
}

class NoSchema {
  @Task({ name: 'schemaless', schema: undefined as unknown as typeof schema })
  run() {
    return 0;
  }
}

@Module({})
class NoDatabase {}

/** For starts that fail before they send a statement. */
const noDatabase = () => {
  const sql = { provide: SQL_CLIENT, useValue: { query: () => Promise.reject(new Error('asked')) } };
  return { module: NoDatabase, global: true, providers: [sql], exports: [SQL_CLIENT] };
};

const boot = async (
  providers: Type[],
  options?: TasksOptions,
  database: DynamicModule = StorageModule.forRoot({ migrations: tasksMigrations }),
) => {
  const moduleRef = await Test.createTestingModule({
    imports: [database, HealthModule, MetricsModule.forRoot({ processMetrics: false }), TasksModule.forRoot(options)],
    providers: [...providers, { provide: 'alias', useExisting: providers.at(0)! }],
  }).compile();
  return moduleRef.init();
};

/** Without a database, and with a Redis that does not exist. */
const bare = (providers: Type[], options: TasksOptions) =>
  Test.createTestingModule({
    imports: [RedisModule.forRoot({}), TasksModule.forRoot({ worker: false, ...options })],
    providers,
  }).compile();

describe('TasksModule', () => {
  it('finds handlers, runs them and counts the runs', async () => {
    const app = await boot([Work]);
    const id = await app.get(TaskQueue).enqueue('double', { n: 21 });
    await eventually(async () => expect((await app.get(TaskService).get(id)).result).toBe(42));
    const text = await app.get<Registry>(METRICS).metrics();
    expect(text).toContain('yuxi_tasks_total{name="double",result="success"} 1');
    expect(text).toContain('yuxi_task_duration_seconds_count{name="double"} 1');
    expect(text).toContain('yuxi_tasks_running 0');
    expect(text).toContain('yuxi_queue_depth{queue="default"} 0');
    await app.close();
  });

  it('counts the waiting tasks of each queue, and reports an emptied queue as 0', async () => {
    const app = await boot([Work], { worker: false });
    const depths = async () =>
      [...(await app.get<Registry>(METRICS).metrics()).matchAll(/^yuxi_queue_depth\{queue="(\w+)"\} (\d+)$/gm)].map(
        ([, queue, depth]) => [queue, Number(depth)] as const,
      );
    expect(await depths()).toEqual([['default', 0]]);
    const queue = app.get(TaskQueue);
    await queue.enqueue('double', { n: 1 });
    await queue.enqueue('double', { n: 2 });
    await queue.enqueue('double', { n: 3 }, { delay: '1h' });
    await queue.enqueue('double', { n: 4 }, { queue: 'other' });
    expect(new Map(await depths())).toEqual(
      new Map([
        ['default', 2],
        ['other', 1],
      ]),
    );
    await app.get(QueueAdmin).drain('other');
    expect(new Map(await depths())).toEqual(
      new Map([
        ['default', 2],
        ['other', 0],
      ]),
    );
    await app.close();
  });

  it('needs no database for tasks in Redis, and names the task that needs one', async () => {
    const app = await (await bare([Work], { engine: 'streams' })).init();
    await app.close();
    await expect((await bare([Work], {})).init()).rejects.toThrow('engine must be streams, as no SQL_CLIENT is bound');
    await expect((await bare([Scheduled], { engine: 'streams' })).init()).rejects.toThrow('cron must be omitted');
  });

  it('publishes each run for tracing, and its readiness', async () => {
    const events: unknown[] = [];
    const note = (event: unknown, name: string | symbol) => events.push([name, event]);
    for (const name of ['start', 'end'] as const) subscribe(`yuxi:tasks:${name}`, note);
    const app = await boot([Work]);
    const id = await app.get(TaskQueue).enqueue('double', { n: 1 });
    const run = { id, name: 'double', attempt: 1 };
    await eventually(() =>
      expect(events).toEqual([
        ['yuxi:tasks:start', run],
        ['yuxi:tasks:end', { ...run, result: 'success', took: expect.any(Number), error: undefined }],
      ]),
    );
    for (const name of ['start', 'end'] as const) unsubscribe(`yuxi:tasks:${name}`, note);
    expect(app.get(HealthRegistry).names).toEqual(['tasks']);
    expect(await app.get(HealthRegistry).ask('tasks')).toEqual({ status: 'up' });
    await app.close();
  });

  it('is not ready while one of its loops is stuck', async () => {
    const registry = new HealthRegistry();
    const health = new TasksHealth(registry);
    health.watch('a loop that turns', () => 10);
    expect(await registry.ask('tasks')).toEqual({ status: 'up' });
    health.watch('the worker', () => 31_000);
    expect(health.check()).toEqual({ status: 'down', state: 'the worker has not checked for tasks for 31 s' });
  });

  it('runs no task without a worker, but checks payloads', async () => {
    const app = await boot([Work], { worker: false });
    await expect(app.get(TaskQueue).enqueue('double', { n: 'x' })).rejects.toThrow('$.n');
    const id = await app.get(TaskQueue).enqueue('double', { n: 1 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await app.get(TaskService).get(id)).status).toBe('pending');
    await app.close();
  });

  it.each<[string, Type[], TasksOptions, string]>([
    ['a duplicate name', [Work, SameName], {}, 'two handlers for task double; the second is @Task on SameName.other'],
    ['a request-scoped handler', [PerRequest], {}, '@Task on PerRequest.run'],
    ['a missing schema', [NoSchema], {}, 'schema must be a zod schema, got undefined (@Task on NoSchema.run)'],
    ['a bad option', [Work], { concurrency: 0 }, 'concurrency must be an integer 1..1000, got 0'],
    ['a task in Redis without Redis', [Work], { engine: 'streams' }, 'engine must be rows, as there is no RedisModule'],
    ['a bad lease', [Work], { lease: '1s' }, 'lease must be'],
  ])('fails the start of the application for %s', async (_, providers, options, message) => {
    await expect(boot(providers, options, noDatabase())).rejects.toThrow(message);
  });
});
