import {
  Inject,
  Injectable,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { RedisConnections } from '@yuxi/redis';
import { Once } from '../effects/once.js';
import { QueueLimits } from '../queue-limits.js';
import { TaskMetrics } from '../task.metrics.js';
import { TaskRegistry } from '../task.registry.js';
import { resolveTasksOptions, type TasksOptions } from '../tasks.options.js';
import { TasksHealth } from '../tasks.health.js';
import { TASKS_OPTIONS } from '../tasks.tokens.js';
import { WakeUp } from '../worker/wake-up.js';
import { WorkerSize } from '../worker/worker-size.js';
import { Beats } from '../beats/beats.js';
import { StreamTasks } from './stream-tasks.js';
import { StreamWorker } from './stream-worker.js';

/** Starts a worker for each queue with tasks that live in Redis, and stops it before anything it needs goes away. */
@Injectable()
export class StreamHost implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  #workers: StreamWorker[] = [];
  #beats?: Beats;
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
    const served = registry.all().flatMap(({ name, queue }) => (this.tasks.carries(name) ? [queue] : []));
    const mine = [...new Set(served)].filter((queue) => !queues || queues.includes(queue));
    if (mine.length === 0) return;
    const { lease } = streams;
    const places = () => size.concurrency;
    const beats = new Beats({ redis: connections.forThread(), ...streams }, (count) => metrics.recovered(count));
    this.#beats = beats;
    this.#workers = mine.map((queue) => {
      const blocking = connections.duplicate('blocking', `tasks:${queue}`);
      const commands = connections.duplicate('command', `tasks:${queue}`);
      const parts = {
        queue,
        registry,
        metrics,
        effects,
        beats,
        limits,
        redis: commands,
        blocking,
        places,
        lease,
        shutdownGrace,
      };
      return new StreamWorker(parts);
    });
    beats.start();
    for (const each of this.#workers) {
      this.health.watch(`the worker of queue ${each.queue}`, () => each.stillFor);
      each.start();
    }
    this.wakeUp.listen(() => this.#workers.forEach((each) => each.poke()));
  }

  /** Begun with the shutdown, see `WorkerHost`. */
  onModuleDestroy(): void {
    this.#stopped = Promise.all(this.#workers.map((each) => each.stop()));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#stopped;
    await this.#beats?.stop();
  }
}
