import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { SqlClient } from '@yuxi/core';
import { CronClock } from '../cron.js';
import { QueueLimits, WorkerSize } from '../limits.js';
import { TaskMetrics } from '../task.metrics.js';
import { TaskQueue } from '../task.queue.js';
import { TaskRegistry } from '../task.registry.js';
import { resolveTasksOptions, type TasksOptions } from '../tasks.options.js';
import { TasksHealth } from '../tasks.health.js';
import { absentSql, TASKS_OPTIONS, TASKS_SQL } from '../tasks.tokens.js';
import { TaskWorker } from './task.worker.js';
import { WakeUp } from './wake-up.js';
import { WorkerStore } from './worker.store.js';

/** Starts the worker of tasks that are rows when the application is up. Stops it before the modules that it needs. */
@Injectable()
export class WorkerHost implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  readonly #worker?: TaskWorker;
  readonly #clock?: CronClock;
  #stopped?: Promise<unknown>;

  constructor(
    @Inject(TASKS_OPTIONS) options: TasksOptions,
    @Inject(TASKS_SQL) sql: SqlClient,
    registry: TaskRegistry,
    metrics: TaskMetrics,
    size: WorkerSize,
    limits: QueueLimits,
    queue: TaskQueue,
    private readonly wakeUp: WakeUp,
    health: TasksHealth,
  ) {
    const resolved = resolveTasksOptions(options);
    if (!resolved.worker || sql === absentSql) return;
    metrics.concurrency = () => size.concurrency;
    this.#worker = new TaskWorker(sql, new WorkerStore(sql, resolved.lease), registry, resolved, metrics, size, limits);
    health.watch('the worker', () => this.#worker!.stillFor);
    this.#clock = new CronClock(sql, registry, queue);
  }

  onApplicationBootstrap(): void {
    const worker = this.#worker;
    if (!worker) return;
    this.wakeUp.listen(
      () => worker.notify(),
      () => worker.notifyHeartbeat(),
    );
    worker.start();
    this.#clock?.start();
  }

  /** Begins with the shutdown, so that the grace of the worker runs in parallel to other waits of the application. */
  onModuleDestroy(): void {
    this.#stopped = Promise.all([this.#clock?.stop(), this.#worker?.stop()]);
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#stopped;
  }
}
