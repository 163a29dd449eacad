import { Inject, Injectable, Optional } from '@nestjs/common';
import { monotonicMs, SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { counter, gauge, histogram, METRICS } from '@yuxi/observability';
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Run } from './worker/run.js';
import type { Outcome } from './worker/worker.store.js';

@Injectable()
export class TaskMetrics {
  readonly running: Gauge;
  /** Set by the owner of the number. */
  concurrency: () => number = () => 0;
  private readonly total: Counter<'name' | 'result'>;
  private readonly duration: Histogram<'name'>;

  constructor(@Optional() @Inject(METRICS) registry: Registry | undefined, @Inject(SQL_CLIENT) sql: SqlClient) {
    this.running = gauge(registry, { name: 'yuxi_tasks_running', help: 'Handlers running in this process' });
    const concurrency = () => this.concurrency();
    gauge(registry, {
      name: 'yuxi_tasks_concurrency',
      help: 'Handlers that this process may run at once; 0: it runs none',
      collect() {
        this.set(concurrency());
      },
    });
    this.total = counter(registry, {
      name: 'yuxi_tasks_total',
      help: 'Runs that ended in this process: success, failed, cancelled, retried, put_back or lost',
      labelNames: ['name', 'result'],
    });
    this.duration = histogram(registry, {
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

  ended(run: Run, outcome: Outcome | undefined): void {
    const { name } = run.row;
    this.running.dec();
    this.duration.observe({ name }, (monotonicMs() - run.startedAt) / 1000);
    this.total.inc({ name, result: resultOf(outcome) });
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
