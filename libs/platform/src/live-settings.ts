import { Inject, Injectable } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { OnConfigChange } from '@yuxi/config-sync';
import { Log } from '@yuxi/observability';
import { type QueueLimit, QueueLimits, WorkerSize } from '@yuxi/tasks';
import { logConfig, tasksConfig } from './config/namespaces.js';
import type { Settings } from './settings.js';

/** Sets the log level from the live setting. While that is unset, `LOG_LEVEL` of the environment applies. */
@Injectable()
export class LogLevel {
  constructor(
    @Inject(Log) private readonly log: Log,
    @Inject(logConfig.KEY) private readonly config: ConfigType<typeof logConfig>,
  ) {}

  @OnConfigChange('general')
  apply({ log_level }: Settings['general']): void {
    this.log.level = log_level ?? this.config.level;
  }
}

/** Sets the concurrency of tasks and the limits of queues from the live settings. `YUXI_WORKER_CONCURRENCY` applies while none is set. */
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
