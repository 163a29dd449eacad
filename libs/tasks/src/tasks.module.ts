import { ConfigurableModuleBuilder, Global, Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { QueueLimits, WorkerSize } from './limits.js';
import { Once } from './once.js';
import { QueueAdmin } from './queue-admin.js';
import { QueueEngines } from './queue-engines.js';
import { StreamHost } from './streams/stream-host.js';
import { StreamTasks } from './streams/stream-tasks.js';
import { TaskExplorer } from './task.explorer.js';
import { TaskMetrics } from './task.metrics.js';
import { TaskQueue } from './task.queue.js';
import { TaskRegistry } from './task.registry.js';
import { TaskService } from './task.service.js';
import { TaskWatch } from './task.watch.js';
import { TasksHealth } from './tasks.health.js';
import type { TasksOptions } from './tasks.options.js';
import { absentSql, TASKS_OPTIONS, TASKS_SQL } from './tasks.tokens.js';
import { WakeUp } from './worker/wake-up.js';
import { WorkerHost } from './worker/worker.host.js';

const { ConfigurableModuleClass, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<TasksOptions>({
  optionsInjectionToken: TASKS_OPTIONS,
})
  .setClassMethodName('forRoot')
  .build();

/** Needs `SQL_CLIENT` and the tables of `tasksMigrations`, or `RedisModule`, or both. Global. */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: TASKS_SQL,
      inject: [{ token: SQL_CLIENT, optional: true }],
      useFactory: (sql?: SqlClient) => sql ?? absentSql,
    },
    Once,
    QueueAdmin,
    QueueEngines,
    QueueLimits,
    TaskRegistry,
    TaskExplorer,
    TaskMetrics,
    TaskQueue,
    TaskService,
    TaskWatch,
    TasksHealth,
    StreamTasks,
    StreamHost,
    WakeUp,
    WorkerSize,
    WorkerHost,
  ],
  exports: [Once, QueueAdmin, QueueLimits, TaskQueue, TaskRegistry, TaskService, TaskWatch, WorkerSize],
})
export class TasksModule extends ConfigurableModuleClass {
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}
