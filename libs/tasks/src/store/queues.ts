import type { SqlClient } from '@yuxi/core';

/** What a queue holds. */
export interface QueueView {
  queue: string;
  /** No worker takes tasks of it; those that run go on. */
  paused: boolean;
  paused_by: string | null;
  /** Due and not running. */
  waiting: number;
  /** For later. */
  delayed: number;
  running: number;
  /** Failed for good and not replayed or discarded. */
  dead: number;
  /** Since the task that waits longest was due, seconds; null when none waits. */
  oldest_waiting_seconds: number | null;
  /** Ended in the last minute, however they ended. */
  finished_last_minute: number;
  /** Workers that run a task of it now. */
  workers: number;
}

/** Every queue that has a task or was paused, by name. */
export async function readQueues(sql: SqlClient): Promise<QueueView[]> {
  const { rows } = await sql.query<QueueView>(
    `WITH counts AS (
       SELECT queue,
              count(*) FILTER (WHERE status = 'pending' AND run_at <= now())::int AS waiting,
              count(*) FILTER (WHERE status = 'pending' AND run_at > now())::int AS delayed,
              count(*) FILTER (WHERE status = 'running')::int AS running,
              count(*) FILTER (WHERE status = 'failed')::int AS dead,
              extract(epoch FROM now() - min(run_at) FILTER (WHERE status = 'pending' AND run_at <= now()))::float8 AS oldest,
              count(*) FILTER (WHERE completed_at > now() - interval '1 min')::int AS finished,
              count(DISTINCT worker) FILTER (WHERE status = 'running')::int AS workers
       FROM tasks WHERE NOT is_group GROUP BY queue)
     SELECT queue, p.queue IS NOT NULL AS paused, p.paused_by, coalesce(waiting, 0) AS waiting,
            coalesce(delayed, 0) AS delayed, coalesce(running, 0) AS running, coalesce(dead, 0) AS dead,
            oldest AS oldest_waiting_seconds, coalesce(finished, 0) AS finished_last_minute, coalesce(workers, 0) AS workers
     FROM counts FULL JOIN task_queues AS p USING (queue) ORDER BY queue`,
  );
  return rows;
}

/** Part of a {@link QueueView}. */
export type QueueDepth = Pick<QueueView, 'queue' | 'waiting'>;

/** Cheaper than {@link readQueues}: it reads what waits, not what is over. */
export async function readDepths(sql: SqlClient): Promise<QueueDepth[]> {
  const { rows } = await sql.query<QueueDepth>(
    `SELECT queue, count(*)::int AS waiting FROM tasks
     WHERE status = 'pending' AND NOT is_group AND run_at <= now() GROUP BY queue`,
  );
  return rows;
}

export async function pauseQueue(sql: SqlClient, queue: string, by: string): Promise<void> {
  await sql.query('INSERT INTO task_queues (queue, paused_by) VALUES ($1, $2) ON CONFLICT DO NOTHING', [queue, by]);
}

/** @returns whether it was paused */
export async function resumeQueue(sql: SqlClient, queue: string): Promise<boolean> {
  return (await sql.query('DELETE FROM task_queues WHERE queue = $1 RETURNING 1', [queue])).rows.length > 0;
}

/** Cancels what waits; what runs goes on. @returns how many, and their groups */
export async function drainQueue(sql: SqlClient, queue: string): Promise<{ count: number; groups: string[] }> {
  const { rows } = await sql.query<{ group_id: string | null }>(
    `WITH waiting AS (
       SELECT id FROM tasks WHERE queue = $1 AND status = 'pending' AND NOT is_group ORDER BY id FOR UPDATE)
     UPDATE tasks AS t SET status = 'cancelled', cancel_requested = true, completed_at = now(), updated_at = now()
     FROM waiting WHERE t.id = waiting.id RETURNING t.group_id`,
    [queue],
  );
  return { count: rows.length, groups: [...new Set(rows.flatMap(({ group_id }) => group_id ?? []))] };
}

/** One view for each name; a queue may hold tasks of both engines. */
export function mergeQueues(views: readonly QueueView[]): QueueView[] {
  const merged = new Map<string, QueueView>();
  for (const view of views) {
    const other = merged.get(view.queue);
    merged.set(view.queue, other ? sumOf(other, view) : view);
  }
  return [...merged.values()].toSorted((a, b) => (a.queue < b.queue ? -1 : 1));
}

function sumOf(a: QueueView, b: QueueView): QueueView {
  const ages = [a, b].flatMap(({ oldest_waiting_seconds: age }) => age ?? []);
  return {
    queue: a.queue,
    paused: a.paused || b.paused,
    paused_by: a.paused_by ?? b.paused_by,
    waiting: a.waiting + b.waiting,
    delayed: a.delayed + b.delayed,
    running: a.running + b.running,
    dead: a.dead + b.dead,
    oldest_waiting_seconds: ages.length > 0 ? Math.max(...ages) : null,
    finished_last_minute: a.finished_last_minute + b.finished_last_minute,
    workers: a.workers + b.workers,
  };
}
