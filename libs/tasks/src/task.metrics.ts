import { Inject, Injectable, Optional } from '@nestjs/common';
import { monotonicMs, type SqlClient } from '@yuxi/core';
import {
  bufferedCounter,
  type BufferedCounter,
  bufferedHistogram,
  type BufferedHistogram,
  gauge,
  METRICS,
} from '@yuxi/observability';
import type { Registry } from 'prom-client';
import type { Run } from './worker/run.js';
import type { Outcome } from './worker/worker.store.js';
import { TASKS_SQL } from './tasks.tokens.js';

@Injectable()
export class TaskMetrics {
  /** Set by the owner of the number. */
  concurrency: () => number = () => 0;
  private running = 0;
  private readonly total: BufferedCounter<readonly [name: string, result: string]>;
  private readonly duration: BufferedHistogram;

  constructor(@Optional() @Inject(METRICS) registry: Registry | undefined, @Inject(TASKS_SQL) sql: SqlClient) {
    const running = () => this.running;
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
      help: 'Handlers that this process may run at once; 0: it runs none',
      collect() {
        this.set(concurrency());
      },
    });
    this.total = bufferedCounter(registry, {
      name: 'yuxi_tasks_total',
      help: 'Runs that ended in this process: success, failed, cancelled, retried, put_back or lost',
      labelNames: ['name', 'result'],
    });
    this.duration = bufferedHistogram(registry, {
      name: 'yuxi_task_duration_seconds',
      help: 'Time a handler took',
      labelNames: ['name'],
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 1800],
    });
    gauge(registry, {
      name: 'yuxi_tasks_waiting',
      help: 'Tasks that are due and not running, in the whole cluster; absent while the database is away',
      async collect() {
        this.reset();
        const waiting = await countWaiting(sql);
        if (waiting !== undefined) this.set(waiting);
      },
    });
  }

  began(): void {
    this.running++;
  }

  /** @returns milliseconds that the run took */
  ended({ row: { name }, startedAt }: Run, outcome: Outcome | undefined): number {
    const ms = monotonicMs() - startedAt;
    this.running--;
    this.duration.observe(ms / 1000, name);
    this.total.inc(name, resultOf(outcome));
    return ms;
  }
}

function resultOf(outcome: Outcome | undefined): string {
  if (!outcome) return 'lost';
  if (outcome.status !== 'pending') return outcome.status;
  return outcome.counted === false ? 'put_back' : 'retried';
}

async function countWaiting(sql: SqlClient): Promise<number | undefined> {
  try {
    const { rows } = await sql.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM tasks WHERE status = 'pending' AND NOT is_group AND run_at <= now()`,
    );
    return rows[0]?.count;
  } catch {
    return undefined;
  }
}
