import { Inject, Injectable, Optional } from '@nestjs/common';
import { monotonicMs } from '@yuxi/core';
import {
  bufferedCounter,
  type BufferedCounter,
  bufferedHistogram,
  type BufferedHistogram,
  gauge,
  counter,
  METRICS,
} from '@yuxi/observability';
import type { Counter, Registry } from 'prom-client';
import { QueueEngines } from './queue-engines.js';
import type { QueueDepth } from './queue-operator.js';
import { TASK_CHANNELS, type TaskEndEvent, type TasksRecoveredEvent, type TaskStartEvent } from './task.channels.js';
import type { Run } from './worker/run.js';
import type { Outcome } from './worker/worker.store.js';

@Injectable()
export class TaskMetrics {
  /** Set by the host of the worker. */
  concurrency: () => number = () => 0;
  #running = 0;
  readonly #total: BufferedCounter<readonly [name: string, result: string]>;
  readonly #duration: BufferedHistogram;
  readonly #recoveredTotal?: Counter;

  constructor(@Optional() @Inject(METRICS) registry: Registry | undefined, engines: QueueEngines) {
    const running = () => this.#running;
    gauge(registry, {
      name: 'yuxi_tasks_running',
      help: 'Handlers running in this process',
      collect() {
        this.set(running());
      },
    });
    const concurrency = () => this.concurrency();
    gauge(registry, {
      name: 'yuxi_tasks_concurrency',
      help: 'Handlers that this process may run at once; 0: it runs no tasks',
      collect() {
        this.set(concurrency());
      },
    });
    this.#total = bufferedCounter(registry, {
      name: 'yuxi_tasks_total',
      help: 'Runs that ended in this process: success, failed, cancelled, retried, put_back or lost',
      labelNames: ['name', 'result'],
    });
    this.#duration = bufferedHistogram(registry, {
      name: 'yuxi_task_duration_seconds',
      help: 'Time a handler took',
      labelNames: ['name'],
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 1800],
    });
    this.#recoveredTotal = counter(registry, {
      name: 'yuxi_tasks_recovered_total',
      help: 'Tasks of dead workers that this process has recovered',
    });
    // A queue that has become empty is reported as 0, not omitted.
    const seen = new Set<string>();
    gauge(registry, {
      name: 'yuxi_queue_depth',
      help: 'Tasks of a queue that are due and not running, in the whole cluster; absent while their store is unavailable',
      labelNames: ['queue'],
      async collect() {
        this.reset();
        const depths = await readDepths(engines);
        if (!depths) return;
        for (const queue of engines.queues) seen.add(queue);
        for (const queue of seen) this.set({ queue }, 0);
        for (const { queue, waiting } of depths) {
          seen.add(queue);
          this.inc({ queue }, waiting);
        }
      },
    });
  }

  began({ row: { id, name, attempt } }: Run): void {
    this.#running++;
    if (TASK_CHANNELS.start.hasSubscribers) TASK_CHANNELS.start.publish({ id, name, attempt } satisfies TaskStartEvent);
  }

  /** @returns milliseconds that the run took */
  ended({ row: { id, name, attempt }, startedAt }: Run, outcome: Outcome | undefined): number {
    const took = monotonicMs() - startedAt;
    const result = resultOf(outcome);
    this.#running--;
    this.#duration.observe(took / 1000, name);
    this.#total.inc(name, result);
    if (TASK_CHANNELS.end.hasSubscribers)
      TASK_CHANNELS.end.publish({ id, name, attempt, result, took, error: outcome?.error } satisfies TaskEndEvent);
    return took;
  }

  /** Counts recovered tasks of dead workers. */
  recovered(count: number): void {
    this.#recoveredTotal?.inc(count);
    TASK_CHANNELS.recovered.publish({ count } satisfies TasksRecoveredEvent);
  }
}

function resultOf(outcome: Outcome | undefined): string {
  if (!outcome) return 'lost';
  if (outcome.status !== 'pending') return outcome.status;
  return outcome.counted === false ? 'put_back' : 'retried';
}

/** Of both engines, which may share a queue. Undefined when one engine is unavailable, because a partial depth would be wrong. */
async function readDepths({ all }: QueueEngines): Promise<QueueDepth[] | undefined> {
  try {
    return (await Promise.all(all.map((engine) => engine.depths()))).flat();
  } catch {
    return undefined;
  }
}
