import type { SqlClient } from '@yuxi/core';
import type { ResolvedQueueLimit } from '../queue-limits.js';

/**
 * How many tasks of a queue may begin now. Holds the queue's row until the transaction ends, so that workers count one after the other.
 * The rate is a generic cell rate, as in ATM Forum TM 4.0.
 */
export async function allowance(tx: SqlClient, queue: string, limit: ResolvedQueueLimit): Promise<number> {
  const lock = () => tx.query('SELECT FROM task_rates WHERE queue = $1 FOR UPDATE', [queue]);
  if ((await lock()).rowCount === 0) {
    await tx.query('INSERT INTO task_rates (queue) VALUES ($1) ON CONFLICT DO NOTHING', [queue]);
    await lock();
  }
  const { concurrency, rate } = limit;
  // A statement of its own: it must see what whoever held the row before has begun. clock_timestamp, as now() is when this began.
  const { rows } = await tx.query<{ running: number; used: number }>(
    `SELECT (SELECT count(*)::int FROM tasks WHERE queue = $1 AND status = 'running' AND NOT is_group) AS running,
            greatest(0, extract(epoch FROM full_at - clock_timestamp()) * 1000)::float8 AS used
     FROM task_rates WHERE queue = $1`,
    [queue],
  );
  const { running, used } = rows[0]!;
  const byRate = rate ? Math.floor((rate.per - used) / (rate.per / rate.tasks)) : Number.POSITIVE_INFINITY;
  return Math.min(byRate, (concurrency ?? Number.POSITIVE_INFINITY) - running);
}

/** Counts tasks that have begun. */
export async function use(
  tx: SqlClient,
  queue: string,
  rate: NonNullable<ResolvedQueueLimit['rate']>,
  tasks: number,
): Promise<void> {
  if (tasks === 0) return;
  await tx.query(
    `UPDATE task_rates SET full_at = greatest(full_at, clock_timestamp()) + $2 * interval '1 ms' WHERE queue = $1`,
    [queue, (tasks * rate.per) / rate.tasks],
  );
}
