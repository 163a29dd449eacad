import { describe, expect, it } from '@jest/globals';
import { Injectable, Scope, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { METRICS, MetricsModule } from '@yuxi/observability';
import { StorageModule } from '@yuxi/storage';
import { eventually } from '@yuxi/testing';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import {
  Task,
  TaskQueue,
  TaskService,
  TasksModule,
  tasksMigrations,
  type TaskContext,
  type TasksOptions,
} from './index.js';

const schema = z.object({ n: z.number() });

@Injectable()
class Work {
  private readonly factor = 2;

  @Task({ name: 'double', schema })
  double({ n }: { n: number }, _context: TaskContext) {
    return n * this.factor;
  }
}

@Injectable()
class SameName {
  @Task({ name: 'double', schema })
  other() {
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

const boot = async (providers: Type[], options?: TasksOptions) => {
  const moduleRef = await Test.createTestingModule({
    imports: [
      StorageModule.forRoot({ migrations: tasksMigrations }),
      MetricsModule.forRoot({ processMetrics: false }),
      TasksModule.forRoot(options),
    ],
    providers: [...providers, { provide: 'alias', useExisting: providers.at(0)! }],
  }).compile();
  return moduleRef.init();
};

describe('TasksModule', () => {
  it('finds handlers, runs them and counts', async () => {
    const app = await boot([Work]);
    const id = await app.get(TaskQueue).enqueue('double', { n: 21 });
    await eventually(async () => expect((await app.get(TaskService).get(id)).result).toBe(42));
    const text = await app.get<Registry>(METRICS).metrics();
    expect(text).toContain('yuxi_tasks_total{name="double",result="success"} 1');
    expect(text).toContain('yuxi_task_duration_seconds_count{name="double"} 1');
    expect(text).toContain('yuxi_tasks_running 0');
    expect(text).toContain('yuxi_tasks_waiting 0');
    await app.close();
  });

  it('runs nothing where it is told not to work, but checks payloads', async () => {
    const app = await boot([Work], { worker: false });
    await expect(app.get(TaskQueue).enqueue('double', { n: 'x' })).rejects.toThrow('$.n');
    const id = await app.get(TaskQueue).enqueue('double', { n: 1 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await app.get(TaskService).get(id)).status).toBe('pending');
    await app.close();
  });

  it.each<[string, Type[], TasksOptions, string]>([
    ['a name given twice', [Work, SameName], {}, 'two handlers for task double; the second is @Task on SameName.other'],
    ['a request-scoped handler', [PerRequest], {}, '@Task on PerRequest.run'],
    ['a missing schema', [NoSchema], {}, 'schema must be a zod schema, got undefined (@Task on NoSchema.run)'],
    ['a bad option', [Work], { concurrency: 0 }, 'concurrency must be an integer 1..1000, got 0'],
    ['a bad lease', [Work], { lease: '1s' }, 'lease must be'],
  ])('fails the boot for %s', async (_, providers, options, message) => {
    await expect(boot(providers, options)).rejects.toThrow(message);
  });
});
