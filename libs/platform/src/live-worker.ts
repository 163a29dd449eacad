import { Inject, Injectable } from '@nestjs/common';
import { OnConfigChange } from '@yuxi/config-sync';
import { WorkerSize } from '@yuxi/tasks';
import { type Env, ENV } from './env.js';
import type { Settings } from './settings.js';

/** Keeps the number of tasks at once at the live setting; `YUXI_WORKER_CONCURRENCY` of the environment counts until one is set. */
@Injectable()
export class LiveWorker {
  constructor(
    @Inject(WorkerSize) private readonly size: WorkerSize,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @OnConfigChange('tasks')
  apply({ worker_concurrency }: Settings['tasks']): void {
    this.size.concurrency = worker_concurrency ?? this.env.YUXI_WORKER_CONCURRENCY;
  }
}
