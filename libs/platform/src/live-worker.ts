import { Inject, Injectable } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { OnConfigChange } from '@yuxi/config-sync';
import { type QueueLimit, QueueLimits, WorkerSize } from '@yuxi/tasks';
import { tasksConfig } from './config/namespaces.js';
import type { Settings } from './settings.js';

/** Keeps the number of tasks at once, and the limits of queues, at the live settings; `YUXI_WORKER_CONCURRENCY` of the environment counts until one is set. */
@Injectable()
export class LiveWorker {
  constructor(
    @Inject(WorkerSize) private readonly size: WorkerSize,
    @Inject(QueueLimits) private readonly limits: QueueLimits,
    @Inject(tasksConfig.KEY) private readonly config: ConfigType<typeof tasksConfig>,
  ) {}

  @OnConfigChange('tasks')
  apply({ worker_concurrency, queue_limits }: Settings['tasks']): void {
    this.size.concurrency = worker_concurrency ?? this.config.concurrency;
    this.limits.set(Object.fromEntries(Object.entries(queue_limits).map(([queue, limit]) => [queue, toLimit(limit)])));
  }
}

function toLimit({ concurrency, rate }: Settings['tasks']['queue_limits'][string]): QueueLimit {
  return { concurrency, rate: rate && { tasks: rate.tasks, per: rate.per_seconds * 1000 } };
}
