import { hostname } from 'node:os';
import { randomBytes } from 'node:crypto';
import type { SqlClient } from '@yuxi/core';
import type { ResolvedQueueLimit } from '../queue-limits.js';
import { allowance, use } from '../store/allowance.js';

export interface ClaimedTask {
  id: string;
  name: string;
  payload: unknown;
  /** Number of this claim; every later statement about the task requires it. */
  run: number;
  attempt: number;
  max_attempts: number;
  group_id: string | null;
  owner_id: string | null;
  /** Packed, of the request that enqueued it. */
  context: string | null;
}

/** Which tasks a worker takes. */
export interface Claim {
  /** Highest version by task name. */
  known: Record<string, number>;
  limit: number;
  /** Default: all. */
  queues?: readonly string[];
  except: readonly string[];
}

export interface Outcome {
  id: string;
  run: number;
  /** `pending` puts the task back. */
  status: 'success' | 'failed' | 'cancelled' | 'pending';
  result?: unknown;
  error?: string;
  message?: string;
  progress?: number;
  /** Milliseconds until the task may run again. */
  delay?: number;
  /** False when the run does not use up an attempt. Default true. */
  counted?: boolean;
}

export interface Progress {
  id: string;
  run: number;
  progress: number;
  message: string;
}

/** The statements of one worker. Rows are always locked in order of id, so that workers and cancels cannot deadlock. */
export class WorkerStore {
  /** Names this worker in its rows. */
  readonly worker = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;

  constructor(
    protected readonly sql: SqlClient,
    /** Milliseconds. */
    protected readonly lease: number,
  ) {}

  /** Takes tasks that are due. By the clock, because a transaction may have waited for others since it began. */
  async claim(claim: Claim, sql = this.sql): Promise<ClaimedTask[]> {
    const { rows } = await sql.query<ClaimedTask>(
      `WITH due AS (
         SELECT id FROM tasks
         WHERE status = 'pending' AND NOT is_group AND run_at <= now()
           AND version <= COALESCE(($1::jsonb ->> name)::int, 0)
           AND ($2::text[] IS NULL OR queue = ANY($2::text[])) AND queue <> ALL($3::text[])
           AND NOT EXISTS (SELECT FROM task_queues WHERE task_queues.queue = tasks.queue)
         ORDER BY priority DESC, run_at, id LIMIT $4
         FOR UPDATE SKIP LOCKED)
       UPDATE tasks AS t
       SET status = 'running', run = t.run + 1, attempt = t.attempt + 1, worker = $5,
           lease_until = clock_timestamp() + $6 * interval '1 ms',
           started_at = COALESCE(t.started_at, clock_timestamp()), updated_at = now()
       FROM due WHERE t.id = due.id
       RETURNING t.id, t.name, t.payload, t.run, t.attempt, t.max_attempts, t.group_id, t.owner_id, t.context, t.priority, t.run_at`,
      [JSON.stringify(claim.known), claim.queues ?? null, claim.except, claim.limit, this.worker, this.lease],
    );
    return rows;
  }

  /** Takes tasks of one queue, within what all workers together may do with it. */
  claimWithin(queue: string, limit: ResolvedQueueLimit, claim: Claim): Promise<ClaimedTask[]> {
    return this.sql.transaction(async (tx) => {
      const allowed = await allowance(tx, queue, limit);
      const most = Math.min(claim.limit, allowed);
      if (most < 1) return [];
      const rows = await this.claim({ ...claim, queues: [queue], except: [], limit: most }, tx);
      if (limit.rate) await use(tx, queue, limit.rate, rows.length);
      return rows;
    });
  }

  /** @returns those of `ids` that are still this worker's, each with its run and whether somebody cancelled it */
  async check(ids: readonly string[], renew: boolean): Promise<Map<string, { run: number; cancelled: boolean }>> {
    const mine = `SELECT id, run, cancel_requested FROM tasks
                  WHERE id = ANY($1::text[]) AND worker = $2 AND status = 'running' ORDER BY id`;
    const { rows } = await this.sql.query<{ id: string; run: number; cancel_requested: boolean }>(
      renew
        ? `WITH mine AS (${mine} FOR UPDATE)
           UPDATE tasks AS t SET lease_until = now() + $3 * interval '1 ms' FROM mine WHERE t.id = mine.id
           RETURNING t.id, t.run, t.cancel_requested`
        : mine,
      renew ? [ids, this.worker, this.lease] : [ids, this.worker],
    );
    return new Map(rows.map(({ id, run, cancel_requested: cancelled }) => [id, { run, cancelled }]));
  }

  async saveProgress(progress: readonly Progress[]): Promise<void> {
    await this.sql.query(
      `WITH mine AS (
         SELECT t.id, p.progress, p.message
         FROM tasks AS t JOIN jsonb_to_recordset($1::jsonb) AS p(id text, run int, progress real, message text)
              ON p.id = t.id AND p.run = t.run
         WHERE t.id = ANY($3::text[]) AND t.worker = $2 AND t.status = 'running' ORDER BY t.id FOR UPDATE OF t)
       UPDATE tasks AS t SET progress = mine.progress, message = mine.message, updated_at = now()
       FROM mine WHERE t.id = mine.id`,
      [JSON.stringify(progress), this.worker, progress.map(({ id }) => id)],
    );
  }

  /**
   * Writes how runs ended; those that were given to another worker meanwhile are passed over.
   * @returns groups of the finished tasks
   */
  async finish(outcomes: readonly Outcome[]): Promise<string[]> {
    const { rows } = await this.sql.query<{ group_id: string | null; status: string }>(
      `WITH mine AS (
         SELECT id, run, cancel_requested FROM tasks
         WHERE id = ANY($3::text[]) AND worker = $2 AND status = 'running' ORDER BY id FOR UPDATE),
       decided AS (
         SELECT o.*, CASE WHEN o.status = 'pending' AND mine.cancel_requested THEN 'cancelled' ELSE o.status END AS final
         FROM mine JOIN jsonb_to_recordset($1::jsonb) AS o(id text, run int, status text, result jsonb, error text,
                        message text, progress real, delay float8, counted boolean) USING (id, run))
       UPDATE tasks AS t
       SET status = d.final, result = d.result, error = d.error,
           message = COALESCE(d.message, t.message), progress = COALESCE(d.progress, t.progress),
           attempt = CASE WHEN d.counted IS FALSE THEN t.attempt - 1 ELSE t.attempt END,
           run_at = CASE WHEN d.delay > 0 THEN now() + d.delay * interval '1 ms' ELSE t.run_at END,
           completed_at = CASE WHEN d.final = 'pending' THEN NULL ELSE now() END,
           worker = CASE WHEN d.final = 'pending' THEN NULL ELSE t.worker END, lease_until = NULL, updated_at = now()
       FROM decided AS d WHERE t.id = d.id
       RETURNING t.group_id, t.status`,
      [JSON.stringify(outcomes), this.worker, outcomes.map(({ id }) => id)],
    );
    return groupsOf(rows);
  }

  /**
   * Takes tasks away from workers whose lease ran out: back to pending, or failed once their attempts are used up.
   * @returns how many, and groups of those that ended
   */
  async recover(): Promise<{ count: number; groups: string[] }> {
    const { rows } = await this.sql.query<{ group_id: string | null; status: string }>(
      `WITH lost AS (
         SELECT id FROM tasks WHERE status = 'running' AND NOT is_group AND lease_until < now()
         ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED),
       decided AS (
         SELECT t.id, CASE WHEN t.cancel_requested THEN 'cancelled' WHEN t.attempt >= t.max_attempts THEN 'failed'
                      ELSE 'pending' END AS final
         FROM tasks AS t JOIN lost ON lost.id = t.id)
       UPDATE tasks AS t
       SET status = d.final,
           error = CASE WHEN d.final = 'failed' THEN 'the worker that ran it stopped without a word, '
                        || 'and no attempt is left after ' || t.attempt ELSE t.error END,
           message = CASE WHEN d.final = 'pending' THEN 'waiting again: its worker disappeared' ELSE t.message END,
           completed_at = CASE WHEN d.final = 'pending' THEN NULL ELSE now() END,
           worker = NULL, lease_until = NULL, updated_at = now()
       FROM decided AS d WHERE t.id = d.id
       RETURNING t.group_id, t.status`,
    );
    return { count: rows.length, groups: groupsOf(rows) };
  }
}

function groupsOf(rows: { group_id: string | null; status: string }[]): string[] {
  return [...new Set(rows.flatMap(({ group_id, status }) => (group_id && status !== 'pending' ? [group_id] : [])))];
}
