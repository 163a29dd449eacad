import type { SqlClient } from '@yuxi/core';
import type {
  DeadLetter,
  DeadLetterChoice,
  DeadLetterCursor,
  DeadLetterQuery,
  QueueDepth,
  QueueOperator,
  QueueView,
} from '../queue-operator.js';
import { closeGroups } from './groups.js';

const CHOSEN = `status = 'failed' AND NOT is_group AND ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR queue = $2)
       AND ($3::text IS NULL OR name = $3) AND ($4::text IS NULL OR owner_id = $4)`;

/** Queues of tasks that are rows. */
export class RowQueues implements QueueOperator {
  constructor(private readonly sql: SqlClient) {}

  /** Every queue that has a task or is paused, by name. */
  async list(): Promise<QueueView[]> {
    const { rows } = await this.sql.query<QueueView>(
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

  /** Cheaper than {@link list}: it reads waiting tasks only, none that ended. */
  async depths(): Promise<QueueDepth[]> {
    const { rows } = await this.sql.query<QueueDepth>(
      `SELECT queue, count(*)::int AS waiting FROM tasks
     WHERE status = 'pending' AND NOT is_group AND run_at <= now() GROUP BY queue`,
    );
    return rows;
  }

  async pause(queue: string, by: string): Promise<void> {
    await this.sql.query('INSERT INTO task_queues (queue, paused_by) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      queue,
      by,
    ]);
  }

  async resume(queue: string): Promise<boolean> {
    return (await this.sql.query('DELETE FROM task_queues WHERE queue = $1 RETURNING 1', [queue])).rows.length > 0;
  }

  async drain(queue: string): Promise<number> {
    const { rows } = await this.sql.query<{ group_id: string | null }>(
      `WITH waiting AS (
       SELECT id FROM tasks WHERE queue = $1 AND status = 'pending' AND NOT is_group ORDER BY id FOR UPDATE)
     UPDATE tasks AS t SET status = 'cancelled', cancel_requested = true, completed_at = now(), updated_at = now()
     FROM waiting WHERE t.id = waiting.id RETURNING t.group_id`,
      [queue],
    );
    const groups = [...new Set(rows.flatMap(({ group_id }) => group_id ?? []))];
    if (groups.length > 0) await closeGroups(this.sql, groups);
    return rows.length;
  }

  /** Milliseconds are exact enough to order other tasks; the id orders tasks of the same millisecond. */
  async cursorOf(id: string): Promise<DeadLetterCursor | undefined> {
    const { rows } = await this.sql.query<DeadLetterCursor>(
      `SELECT date_trunc('milliseconds', completed_at) AS at, id FROM tasks WHERE id = $1 AND status = 'failed' AND NOT is_group`,
      [id],
    );
    return rows[0];
  }

  /** Includes members of groups. */
  async deadLetters({ queue, name, limit = 50 }: DeadLetterQuery, before?: DeadLetterCursor): Promise<DeadLetter[]> {
    const time = `date_trunc('milliseconds', completed_at)`;
    const { rows } = await this.sql.query<DeadLetter>(
      `SELECT id, name, queue, title, version, payload, error, attempt AS attempts, owner_id AS owner, group_id, created_at,
            completed_at AS failed_at
     FROM tasks
     WHERE status = 'failed' AND NOT is_group AND ($1::text IS NULL OR queue = $1) AND ($2::text IS NULL OR name = $2)
       AND ($3::timestamptz IS NULL OR (${time}, id) < ($3, $4))
     ORDER BY ${time} DESC, id DESC LIMIT $5`,
      [queue ?? null, name ?? null, before?.at ?? null, before?.id ?? null, limit],
    );
    return rows;
  }

  /**
   * Makes failed tasks wait again as if they had never run. Their groups are open again. A task whose dedupe key is held by another
   * task stays failed.
   */
  async replay(choice: DeadLetterChoice): Promise<number> {
    const { rows } = await this.sql.query<{ count: number }>(
      `WITH dead AS (
       SELECT id FROM tasks AS t
       WHERE ${CHOSEN} AND NOT EXISTS (
         SELECT FROM tasks AS o WHERE o.name = t.name AND o.dedupe_key = t.dedupe_key AND o.status IN ('pending', 'running'))
       ORDER BY id FOR UPDATE),
     again AS (
       UPDATE tasks AS t
       SET status = 'pending', attempt = 0, error = NULL, result = NULL, progress = 0, message = '', run_at = now(),
           worker = NULL, cancel_requested = false, started_at = NULL, completed_at = NULL, updated_at = now()
       FROM dead WHERE t.id = dead.id RETURNING t.group_id),
     opened AS (
       UPDATE tasks AS g SET status = 'pending', result = NULL, error = NULL, completed_at = NULL, updated_at = now()
       WHERE g.is_group AND g.id IN (SELECT group_id FROM again))
     SELECT count(*)::int AS count FROM again`,
      values(choice),
    );
    return rows[0]!.count;
  }

  /** Members of a group stay, because they are removed together with their group. */
  async discard(choice: DeadLetterChoice): Promise<number> {
    const { rows } = await this.sql.query(
      `DELETE FROM tasks WHERE ${CHOSEN} AND group_id IS NULL RETURNING 1`,
      values(choice),
    );
    return rows.length;
  }
}

function values({ id, queue, name, owner }: DeadLetterChoice): unknown[] {
  return [id ?? null, queue ?? null, name ?? null, owner ?? null];
}
