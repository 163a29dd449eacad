import type { SqlClient } from '@yuxi/core';
import { z } from 'zod';
import { QueueLimits, WorkerSize } from '../../../libs/tasks/src/limits.js';
import { QueueAdmin } from '../../../libs/tasks/src/queue-admin.js';
import { QueueEngines } from '../../../libs/tasks/src/queue-engines.js';
import { StreamTasks } from '../../../libs/tasks/src/streams/stream-tasks.js';
import { TaskMetrics } from '../../../libs/tasks/src/task.metrics.js';
import { TaskQueue } from '../../../libs/tasks/src/task.queue.js';
import { TaskRegistry } from '../../../libs/tasks/src/task.registry.js';
import { TaskService } from '../../../libs/tasks/src/task.service.js';
import { TaskWatch } from '../../../libs/tasks/src/task.watch.js';
import type { TaskContext, TaskOptions } from '../../../libs/tasks/src/task.types.js';
import { resolveTasksOptions, type TasksOptions } from '../../../libs/tasks/src/tasks.options.js';
import { TaskWorker } from '../../../libs/tasks/src/worker/task.worker.js';
import { WakeUp } from '../../../libs/tasks/src/worker/wake-up.js';
import { WorkerStore } from '../../../libs/tasks/src/worker/worker.store.js';

export type Handlers = Record<
  string,
  Partial<TaskOptions> & { run: (payload: never, context: TaskContext) => unknown }
>;

/** The task services of one process, without Nest. Several replicas share one database. */
export class Replica {
  static readonly #started = new Set<Replica>();
  readonly queue: TaskQueue;
  readonly service: TaskService;
  readonly queues: QueueAdmin;
  readonly size: WorkerSize;
  readonly limits: QueueLimits;
  readonly watch: TaskWatch;
  readonly worker: TaskWorker;

  constructor(
    readonly sql: SqlClient,
    handlers: Handlers,
    options: TasksOptions = {},
    readonly store = new WorkerStore(sql, 2000),
  ) {
    const registry = new TaskRegistry();
    for (const [name, { run, ...rest }] of Object.entries(handlers)) {
      const all = { name, schema: z.any(), retry: { backoff: 10 }, ...rest };
      registry.add(all, 'a test', (payload, context) => run(payload as never, context));
    }
    const wakeUp = new WakeUp();
    const streams = new StreamTasks(options, registry);
    const engines = new QueueEngines(sql, streams, registry);
    this.queue = new TaskQueue(sql, registry, wakeUp, streams);
    this.service = new TaskService(sql, wakeUp);
    const resolved = resolveTasksOptions({ pollInterval: 20, lease: 2000, shutdownGrace: 100, ...options });
    this.size = new WorkerSize(resolved, wakeUp);
    this.limits = new QueueLimits(options, wakeUp);
    this.queues = new QueueAdmin(engines, wakeUp);
    this.watch = new TaskWatch(sql, this.service);
    this.worker = new TaskWorker(
      // A store that fails on purpose needs the lease thread switched off, because the thread would renew its leases.
      store.constructor === WorkerStore ? sql : { ...sql, threads: undefined },
      store,
      registry,
      resolved,
      new TaskMetrics(undefined, engines),
      this.size,
      this.limits,
    );
    wakeUp.listen(
      () => this.worker.notify(),
      () => this.worker.notifyHeartbeat(),
    );
  }

  start(): this {
    Replica.#started.add(this);
    this.worker.start();
    return this;
  }

  async stop(): Promise<void> {
    Replica.#started.delete(this);
    await this.worker.stop();
  }

  /** For `afterEach`: a worker of one test must not take tasks of the next test. */
  static async stopAll(): Promise<void> {
    const living = [...Replica.#started].filter(({ store }) => !(store instanceof MortalStore && store.dead));
    Replica.#started.clear();
    await Promise.all(living.map((replica) => replica.stop()));
  }
}

/** The store of a worker that can die like a killed process: after that no statement of it is executed. */
export class MortalStore extends WorkerStore {
  dead = false;

  die(): void {
    this.dead = true;
  }

  override claim(...args: Parameters<WorkerStore['claim']>) {
    return this.dead ? this.#never() : super.claim(...args);
  }
  override check(...args: Parameters<WorkerStore['check']>) {
    return this.dead ? this.#never() : super.check(...args);
  }
  override saveProgress(...args: Parameters<WorkerStore['saveProgress']>) {
    return this.dead ? this.#never() : super.saveProgress(...args);
  }
  override finish(...args: Parameters<WorkerStore['finish']>) {
    return this.dead ? this.#never() : super.finish(...args);
  }
  override recover() {
    return this.dead ? this.#never() : super.recover();
  }

  #never(): Promise<never> {
    return new Promise(() => undefined);
  }
}

/** A promise and the function that resolves it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  const controller = new AbortController();
  const opened = new Promise<void>((resolve) => controller.signal.addEventListener('abort', () => resolve()));
  return { opened, open: () => controller.abort() };
}
