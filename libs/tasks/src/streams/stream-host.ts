import {
  Inject,
  Injectable,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { RedisConnections } from '@yuxi/redis';
import { StreamHeartbeat } from '../heartbeat/stream-heartbeat.js';
import { QueueLimits, WorkerSize } from '../limits.js';
import { Once } from '../once.js';
import { TaskMetrics } from '../task.metrics.js';
import { TaskRegistry } from '../task.registry.js';
import { resolveTasksOptions, type TasksOptions } from '../tasks.options.js';
import { TasksHealth } from '../tasks.health.js';
import { TASKS_OPTIONS } from '../tasks.tokens.js';
import { WakeUp } from '../worker/wake-up.js';
import { StreamTasks } from './stream-tasks.js';
import { StreamWorker } from './stream-worker.js';

/** Starts a worker for each queue with tasks that live in Redis. Stops it before the modules that it needs. */
@Injectable()
export class StreamHost implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  #workers: StreamWorker[] = [];
  #heartbeat?: StreamHeartbeat;
  #stopped?: Promise<unknown>;

  constructor(
    @Inject(TASKS_OPTIONS) private readonly options: TasksOptions,
    private readonly tasks: StreamTasks,
    private readonly registry: TaskRegistry,
    private readonly metrics: TaskMetrics,
    private readonly size: WorkerSize,
    private readonly limits: QueueLimits,
    private readonly wakeUp: WakeUp,
    private readonly health: TasksHealth,
    private readonly effects: Once,
    @Optional() private readonly connections?: RedisConnections,
  ) {}

  onApplicationBootstrap(): void {
    const { worker, queues, streams, shutdownGrace } = resolveTasksOptions(this.options);
    const { connections, registry, metrics, effects, size, limits } = this;
    if (!worker || !connections) return;
    const served = registry.all().flatMap(({ name, queue }) => (this.tasks.usesStreams(name) ? [queue] : []));
    const mine = [...new Set(served)].filter((queue) => !queues || queues.includes(queue));
    if (mine.length === 0) return;
    const { lease } = streams;
    const slots = () => size.concurrency;
    const thread = { redis: connections.forThread(), ...streams };
    const heartbeat = new StreamHeartbeat(thread, (count) => metrics.recovered(count));
    this.#heartbeat = heartbeat;
    this.#workers = mine.map((queue) => {
      const blocking = connections.duplicate('blocking', `tasks:${queue}`);
      const commands = connections.duplicate('command', `tasks:${queue}`);
      const parts = {
        queue,
        registry,
        metrics,
        effects,
        heartbeat,
        limits,
        redis: commands,
        blocking,
        slots,
        lease,
        shutdownGrace,
      };
      return new StreamWorker(parts);
    });
    heartbeat.start();
    for (const each of this.#workers) {
      this.health.watch(`the worker of queue ${each.queue}`, () => each.stillFor);
      each.start();
    }
    this.wakeUp.listen(() => this.#workers.forEach((each) => each.notify()));
  }

  /** Begins with the shutdown, see `WorkerHost`. */
  onModuleDestroy(): void {
    this.#stopped = Promise.all(this.#workers.map((each) => each.stop()));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#stopped;
    await this.#heartbeat?.stop();
  }
}
