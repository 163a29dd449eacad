import type { SqlClient } from '@yuxi/core';
import { z } from 'zod';
import { QueueEngines } from '../../../libs/tasks/src/queue-engines.js';
import { QueueLimits } from '../../../libs/tasks/src/queue-limits.js';
import { StreamTasks } from '../../../libs/tasks/src/streams/stream-tasks.js';
import { TaskMetrics } from '../../../libs/tasks/src/task.metrics.js';
import { TaskQueue } from '../../../libs/tasks/src/task.queue.js';
import { TaskQueues } from '../../../libs/tasks/src/task.queues.js';
import { TaskRegistry } from '../../../libs/tasks/src/task.registry.js';
import { TaskService } from '../../../libs/tasks/src/task.service.js';
import { TaskWatch } from '../../../libs/tasks/src/task.watch.js';
import type { TaskContext, TaskOptions } from '../../../libs/tasks/src/task.types.js';
import { resolveTasksOptions, type TasksOptions } from '../../../libs/tasks/src/tasks.options.js';
import { TaskWorker } from '../../../libs/tasks/src/worker/task.worker.js';
import { WakeUp } from '../../../libs/tasks/src/worker/wake-up.js';
import { WorkerSize } from '../../../libs/tasks/src/worker/worker-size.js';
import { WorkerStore } from '../../../libs/tasks/src/worker/worker.store.js';

export type Handlers = Record<
  string,
  Partial<TaskOptions> & { run: (payload: never, context: TaskContext) => unknown }
>;

/** What one process has, without Nest around it. Several of them share one database. */
export class Replica {
  private static readonly started = new Set<Replica>();
  readonly queue: TaskQueue;
  readonly service: TaskService;
  readonly queues: TaskQueues;
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
    this.queues = new TaskQueues(engines, wakeUp);
    this.watch = new TaskWatch(sql, this.service);
    this.worker = new TaskWorker(
      // A store that fails on purpose must not be helped by a thread that it knows nothing of.
      store.constructor === WorkerStore ? sql : { ...sql, threads: undefined },
      store,
      registry,
      resolved,
      new TaskMetrics(undefined, engines),
      this.size,
      this.limits,
    );
    wakeUp.listen(
      () => this.worker.poke(),
      () => this.worker.pokeBeat(),
    );
  }

  start(): this {
    Replica.started.add(this);
    this.worker.start();
    return this;
  }

  async stop(): Promise<void> {
    Replica.started.delete(this);
    await this.worker.stop();
  }

  /** For `afterEach`: no worker of one test may take the tasks of the next. */
  static async stopAll(): Promise<void> {
    const living = [...Replica.started].filter(({ store }) => !(store instanceof MortalStore && store.dead));
    Replica.started.clear();
    await Promise.all(living.map((replica) => replica.stop()));
  }
}

/** A worker that can fall silent like a killed process: nothing that it would write arrives any more. */
export class MortalStore extends WorkerStore {
  dead = false;

  die(): void {
    this.dead = true;
  }

  override claim(...args: Parameters<WorkerStore['claim']>) {
    return this.dead ? this.silence() : super.claim(...args);
  }
  override check(...args: Parameters<WorkerStore['check']>) {
    return this.dead ? this.silence() : super.check(...args);
  }
  override saveProgress(...args: Parameters<WorkerStore['saveProgress']>) {
    return this.dead ? this.silence() : super.saveProgress(...args);
  }
  override finish(...args: Parameters<WorkerStore['finish']>) {
    return this.dead ? this.silence() : super.finish(...args);
  }
  override recover() {
    return this.dead ? this.silence() : super.recover();
  }

  private silence(): Promise<never> {
    return new Promise(() => undefined);
  }
}

/** A promise and the function that resolves it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  const controller = new AbortController();
  const opened = new Promise<void>((resolve) => controller.signal.addEventListener('abort', () => resolve()));
  return { opened, open: () => controller.abort() };
}
